"""One SQL plan for prices, mapping and aggregation, on DuckDB here and on Spark or BigQuery elsewhere."""

from finops_ai.engine.aggregating import aggregate, compile_totals
from finops_ai.engine.allocating import allocate, check_conserved
from finops_ai.engine.pricing import price, reprice, settled
from finops_ai.engine.rules import Rules

__all__ = ["Rules", "aggregate", "allocate", "check_conserved", "compile_totals", "price", "reprice", "settled"]
