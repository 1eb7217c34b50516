"""How the lake's table is laid out: the frames it holds and the columns that tell them and their loads apart."""

from __future__ import annotations

from finops_ai.frames import BillFrame, TokenFrame

#: `told` is usage that another connection counts (see `store.twice`)
TABLES = {"tokens": TokenFrame, "bills": BillFrame, "told": TokenFrame}
#: columns that say which frame a row belongs to and who loaded it; the table is partitioned by both
KIND, CONNECTION = "kind", "connection"
FOLDER = "frames"
