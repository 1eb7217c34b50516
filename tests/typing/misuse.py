"""What type checkers must refuse: each line's mistake is named, and a mistake no longer found is itself an error.

Read by mypy with `warn_unused_ignores` and pyright with `reportUnnecessaryTypeIgnoreComment`; never run.
"""

from __future__ import annotations

import finops_ai as fa

tokens = fa.sample(months=1)
fa.showbak(tokens)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
fa.sample(months="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fa.price(tokens, "book.toml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
fa.showback(tokens, by=["team"], mont="2026-10")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fa.chargeback(tokens, {})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fa.unit_costs(tokens).facts.curency  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
month: int = fa.open_workspace().months()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
