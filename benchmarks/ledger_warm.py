"""What every command of the ledger reads once, read by the process that the others are forked from."""

from __future__ import annotations

import importlib

from finops_ai import PriceBook

for name in (
    "finops_ai.cli.closing", "finops_ai.engine.choosing", "finops_ai.engine.converting", "finops_ai.engine.cubing",
    "finops_ai.engine.running", "finops_ai.engine.settling", "finops_ai.prices.kept", "finops_ai.store.tools",
    "finops_ai.tables.closing", "finops_ai.workspace", "deltalake", "pandera", "pyarrow.dataset", "pyarrow.parquet",
):  # fmt: skip
    importlib.import_module(name)
_ = PriceBook.default().context_cuts
