"""Cost and Usage Report 2.0 to frames: Bedrock rows picked, each read in its own unit, all money exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.meters import meters
from finops_ai.periods import Window
from finops_ai.providers import LeftOut, left_out_of
from finops_ai.providers.duck import connect
from finops_ai_bedrock.resources import Profiles, read_resource
from finops_ai_bedrock.usage_types import Line, classify, model_id

if TYPE_CHECKING:
    import pandas as pd

#: columns read: name -> (kind, needed)
COLUMNS = {
    "bill_billing_entity": ("text", False),
    "bill_billing_period_start_date": ("time", False),
    "bill_billing_period_end_date": ("time", False),
    "bill_invoice_id": ("text", False),
    "bill_payer_account_id": ("text", False),
    "bill_payer_account_name": ("text", False),
    "identity_line_item_id": ("text", False),
    "identity_time_interval": ("text", False),
    "line_item_currency_code": ("text", False),
    "line_item_iam_principal": ("text", False),
    "line_item_line_item_description": ("text", False),
    "line_item_line_item_type": ("text", True),
    "line_item_product_code": ("text", True),
    "line_item_resource_id": ("text", False),
    "line_item_unblended_cost": ("money", True),
    "line_item_net_unblended_cost": ("money", False),
    "line_item_usage_account_id": ("text", True),
    "line_item_usage_account_name": ("text", False),
    "line_item_usage_amount": ("money", True),
    "line_item_usage_start_date": ("time", True),
    "line_item_usage_end_date": ("time", True),
    "line_item_usage_type": ("text", True),
    "pricing_public_on_demand_cost": ("money", False),
    "pricing_public_on_demand_rate": ("money", False),
    "pricing_rate_code": ("text", False),
    "pricing_unit": ("text", True),
    "product": ("map", False),
    "product_region_code": ("text", False),
    "product_sku": ("text", False),
    "reservation_effective_cost": ("money", False),
    "reservation_reservation_a_r_n": ("text", False),
    "resource_tags": ("map", False),
    "savings_plan_savings_plan_a_r_n": ("text", False),
    "savings_plan_savings_plan_effective_cost": ("money", False),
    "tags": ("map", False),
}
PRODUCT_CODES = ("AmazonBedrock", "AmazonBedrockAgentCore", "AmazonBedrockService", "AmazonBedrockFoundationModels")
#: line item types that carry usage
USAGE_TYPES = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
#: a list price outside this band (USD per token: 0.003 to 600 per million) means the unit was misread
PRICE_BAND = (Decimal("3e-9"), Decimal("6e-4"))

_INPUTS = ", ".join(f"'{m.name}'" for m in meters().values() if m.is_token and m.direction == "input")
_USAGE = ", ".join(f"'{name}'" for name in USAGE_TYPES)


@dataclass
class Report:
    """Bedrock rows of a window, read but not yet framed.

    Attributes:
        con: DuckDB connection that holds the view `lines`, one row per bill line with what it means.
        notes: what a reader must know.
        left_out: the report's other lines of the window, by service.
    """

    con: duckdb.DuckDBPyConnection
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def _expression(name: str, kind: str, present: Mapping[str, str]) -> str:
    if name not in present:
        return f"CAST(NULL AS {_SQL_TYPES[kind]}) AS {name}"
    stored = present[name]
    if kind == "money":  # doubles by their shortest decimal text, so 0.1 is 0.1
        return f"CAST(nullif(CAST({name} AS VARCHAR), '') AS DECIMAL(38,18)) AS {name}"
    if kind == "time":
        value = name if stored.startswith("TIMESTAMP") else f"CAST({name} AS TIMESTAMPTZ)"
        if stored == "VARCHAR":  # a CSV export writes 2026-10-01T00:00:00.000Z
            value = f"CAST(replace(replace({name}, 'T', ' '), 'Z', '') AS TIMESTAMP)"
        return f"make_timestamp(epoch_us({value})) AS {name}"
    if kind == "map":
        return f"{_map_expression(name, stored)} AS {name}"
    return f"nullif(CAST({name} AS VARCHAR), '') AS {name}"


def _map_expression(name: str, stored: str) -> str:
    """A map column, as a map, as JSON text (CSV), as a record or as a list of pairs (other writers)."""
    if stored.startswith("MAP"):
        return name
    if stored.endswith("[]"):
        return f"map_from_entries({name})"
    text = f"nullif({name}, '')::JSON" if stored == "VARCHAR" else f"to_json({name})"
    pairs = f"map_entries(CAST({text} AS MAP(VARCHAR, VARCHAR)))"
    return f"map_from_entries(list_filter({pairs}, lambda pair: pair.value IS NOT NULL))"


_SQL_TYPES = {"text": "VARCHAR", "money": "DECIMAL(38,18)", "time": "TIMESTAMP", "map": "MAP(VARCHAR, VARCHAR)"}


_BEDROCK = (
    "((coalesce(bill_billing_entity, 'AWS') <> 'AWS Marketplace' AND line_item_product_code IN "
    f"({', '.join(repr(code) for code in PRODUCT_CODES)}))"
    " OR (bill_billing_entity = 'AWS Marketplace' AND contains(coalesce(product['product_name'], "
    "line_item_line_item_description, ''), 'Bedrock')))"
)


def _others(con: duckdb.DuckDBPyConnection, everything: str, within: str) -> list[LeftOut]:
    """The lines of the window that aren't Bedrock's, by kind and service."""
    rows = con.sql(
        "SELECT line_item_line_item_type, line_item_product_code, coalesce(line_item_currency_code, 'USD'), count(*), "
        f"sum(line_item_unblended_cost) FROM {everything} WHERE {within} AND NOT coalesce({_BEDROCK}, false) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return left_out_of(
        (f"{'' if kind in USAGE_TYPES else f'{kind} of '}another service: {code or 'not named'}", unit, count, amount)
        for kind, code, unit, count, amount in rows
    )


def read_report(
    paths: Sequence[Path],
    window: Window,
    *,
    model_names: Mapping[str, str] | None = None,
    profiles: Profiles | None = None,
) -> Report:
    """Read the Bedrock lines of a window whose usage starts in it.

    Args:
        paths: Parquet or CSV files of the export.
        window: half-open window of usage start.
        model_names: the user's billing names.
        profiles: the account's application inference profiles.

    Raises:
        DataError: a file can't be read, or a needed column is missing.
    """
    con = connect()
    report = Report(con)
    groups = {
        "read_parquet": [p for p in paths if p.name.lower().endswith(".parquet")],
        "read_csv": [p for p in paths if not p.name.lower().endswith(".parquet")],
    }
    selects = [_select(con, reader, files) for reader, files in groups.items() if files]
    if not selects:
        nothing = ", ".join(_expression(n, k, {}) for n, (k, _) in COLUMNS.items())
        con.execute(f"CREATE TEMP TABLE cur AS SELECT {nothing} WHERE false")
    else:
        everything = "(" + " UNION ALL ".join(selects) + ")"
        within = (
            f"line_item_usage_start_date >= TIMESTAMP '{window.start:%Y-%m-%d %H:%M:%S.%f}'"
            f" AND line_item_usage_start_date < TIMESTAMP '{window.end:%Y-%m-%d %H:%M:%S.%f}'"
        )
        try:
            con.execute(f"CREATE TEMP TABLE cur AS SELECT * FROM {everything} WHERE {_BEDROCK} AND {within}")
            report.left_out = _others(con, everything, within)
        except duckdb.Error as error:
            raise _unreadable(error, paths) from None
    _refuse_copies(con)
    _explain_lines(report, model_names or {})
    _explain_resources(report, profiles)
    _join(con)
    _check_units(report)
    return report


def _unreadable(error: duckdb.Error, files: Sequence[Path]) -> DataError:
    more = f" or one of {len(files) - 1} more" if len(files) > 1 else ""
    return DataError(
        f"bedrock: the cost report can't be read ({files[0].name}{more}): {' '.join(str(error).split())[:300]}. A file may "
        "be cut short: download it again. Nothing was stored."
    )


def _select(con: duckdb.DuckDBPyConnection, reader: str, files: Sequence[Path]) -> str:
    names = "[" + ", ".join("'" + str(f).replace("'", "''") + "'" for f in files) + "]"
    options = "union_by_name=true" + (", hive_partitioning=false" if reader == "read_parquet" else ", all_varchar=true")
    source = f"{reader}({names}, {options})"
    try:
        present = {row[0].lower(): row[1] for row in con.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        if missing := [name for name, (_, needed) in COLUMNS.items() if needed and name not in present]:
            legacy = (
                "It is a legacy report: create a Data Export of CUR 2.0. "
                if any("/" in name for name in present)
                else ""
            )
            raise DataError(
                f"bedrock: the cost report {files[0].name} has no column {missing[0]!r}. {legacy}Add it to the Data Export's query "
                f"(it needs {', '.join(name for name, (_, needed) in COLUMNS.items() if needed)}). Nothing was stored."
            )
    except duckdb.Error as error:
        raise _unreadable(error, files) from None
    return "SELECT " + ", ".join(_expression(n, k, present) for n, (k, _) in COLUMNS.items()) + f" FROM {source}"


def _refuse_copies(con: duckdb.DuckDBPyConnection) -> None:
    """A line's identity is unique in its billing period: one that comes twice means two copies of the report.

    Raises:
        DataError: names the line.
    """
    month = "coalesce(bill_billing_period_start_date, date_trunc('month', line_item_usage_start_date))"
    key = f"identity_line_item_id, identity_time_interval, {month}"
    copies = con.sql(
        f"SELECT {key}, count(*) AS n FROM cur WHERE identity_line_item_id IS NOT NULL GROUP BY {key} HAVING n > 1 "
        "ORDER BY ALL LIMIT 1"
    ).fetchall()
    if copies:
        identity, _, period, count = copies[0]
        raise DataError(
            f"bedrock: line {identity!r} of the billing period {period:%Y-%m} comes {count} times: the files hold more than one "
            "copy of the cost report, and everything would be counted twice. Keep one. Nothing was stored."
        )


def _explain_lines(report: Report, own: Mapping[str, str]) -> None:
    """The table `known`: one row per distinct kind of line, with what it means."""
    kinds = report.con.sql(
        f"SELECT DISTINCT line_item_usage_type, product['product_name'], pricing_unit, "
        "CASE WHEN bill_billing_entity = 'AWS Marketplace' THEN split_part(line_item_line_item_description, '|', 3) END "
        f"FROM cur WHERE line_item_line_item_type IN ({_USAGE})"
    ).fetchall()
    rows, strangers = [], set()
    for usage_type, product, unit, text in kinds:
        line = classify(usage_type or "", product_name=product or "", pricing_unit=unit or "", unit_text=text or "")
        model = model_id(line.model_name, own) if line.model_name else None
        if line.model_name and not model and line.meter != "unmapped":
            strangers.add(line.model_name)
        rows.append((usage_type, product, unit, text, line, model))
        if line.meter == "unmapped":
            report.notes.append(f"bedrock: {usage_type!r} is kept as unmapped ({line.why}).")
    if strangers:
        report.notes.append(
            f"bedrock: unknown billing names {sorted(strangers)}: kept as they are, unpriced. Name their model id in the "
            "setting `model_names`."
        )
    report.con.register("known", _lines_table(rows))


def _lines_table(rows: list[tuple[str, str, str, str, Line, str | None]]) -> pa.Table:
    text = pa.string()
    return pa.table(
        {
            "k_type": pa.array([r[0] for r in rows], text),
            "k_product": pa.array([r[1] for r in rows], text),
            "k_unit": pa.array([r[2] for r in rows], text),
            "k_text": pa.array([r[3] for r in rows], text),
            "meter": pa.array([r[4].meter for r in rows], text),
            "unit": pa.array([meters()[r[4].meter].unit for r in rows], text),
            "line_id": pa.array([r[5] for r in rows], text),
            "line_name": pa.array([r[4].model_name or None for r in rows], text),
            "line_operation": pa.array([r[4].operation or "chat" for r in rows], text),
            "service_tier": pa.array([r[4].service_tier for r in rows], text),
            "line_geo": pa.array([r[4].inference_geo for r in rows], text),
            "context_tier": pa.array([r[4].context_tier for r in rows], text),
            "factor": pa.array([r[4].factor for r in rows], pa.decimal128(10, 0)),
        }
    )


def _explain_resources(report: Report, profiles: Profiles | None) -> None:
    """The table `resources`: one row per distinct resource, with the model it is or runs."""
    found = [r for (r,) in report.con.sql("SELECT DISTINCT line_item_resource_id FROM cur").fetchall() if r]
    read = [read_resource(r, profiles) for r in found]
    text = pa.string()
    report.con.register(
        "resources",
        pa.table(
            {
                "r_arn": pa.array(found, text),
                "r_id": pa.array([r.resource_id for r in read], text),
                "r_model": pa.array([r.model for r in read], text),
                "r_geo": pa.array([r.geo for r in read], text),
                "r_name": pa.array([r.name for r in read], text),
            }
        ),
    )


def _join(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        f"""
        CREATE TEMP TABLE lines AS SELECT cur.*,
            coalesce(meter, 'unmapped') AS meter,
            coalesce(unit, 'units') AS unit,
            CASE WHEN coalesce(meter, 'unmapped') = 'unmapped' THEN line_item_usage_type
                 ELSE coalesce(CASE WHEN unit = 'tokens' THEN coalesce(line_geo, r_geo) || '.' || coalesce(r_model, line_id) END,
                               r_model, line_id, line_name, line_item_usage_type) END AS model,
            CASE WHEN line_operation = 'chat' AND contains(coalesce(r_model, line_id, ''), 'embed') THEN 'embeddings'
                 ELSE coalesce(line_operation, 'other') END AS operation,
            coalesce(service_tier, 'standard') AS service_tier,
            CASE WHEN unit = 'tokens' THEN coalesce(line_geo, r_geo) END AS inference_geo,
            context_tier,
            r_id AS resource_id,
            coalesce(product_region_code, product['region_code'], product['region']) AS region,
            line_item_usage_amount * coalesce(factor, 1) AS quantity,
            map_concat(
                coalesce(tags, MAP {{}}),
                map_from_entries(list_transform(map_entries(coalesce(resource_tags, MAP {{}})),
                    lambda x: (CASE WHEN starts_with(x.key, 'user_') THEN x.key[6:] ELSE x.key END, x.value))),
                CASE WHEN r_name IS NULL THEN MAP {{}} ELSE MAP {{'inference_profile': r_name}} END
            ) AS all_tags
        FROM cur
        LEFT JOIN known ON line_item_line_item_type IN ({_USAGE})
            AND k_type IS NOT DISTINCT FROM line_item_usage_type
            AND k_product IS NOT DISTINCT FROM product['product_name']
            AND k_unit IS NOT DISTINCT FROM pricing_unit
            AND k_text IS NOT DISTINCT FROM CASE WHEN bill_billing_entity = 'AWS Marketplace'
                THEN split_part(line_item_line_item_description, '|', 3) END
        LEFT JOIN resources ON r_arn = line_item_resource_id
        """
    )


def _check_units(report: Report) -> None:
    """A token line whose list price per token is absurd had its unit misread: it is shown, not counted as tokens."""
    low, high = PRICE_BAND
    absurd = (
        "unit = 'tokens' AND quantity > 0 AND coalesce(line_item_currency_code, 'USD') = 'USD' AND pricing_public_on_demand_cost > 0 AND "
        f"(pricing_public_on_demand_cost / CAST(quantity AS DOUBLE) < {low} OR "
        f"pricing_public_on_demand_cost / CAST(quantity AS DOUBLE) > {high})"
    )
    found = report.con.sql(
        f"SELECT line_item_usage_type, pricing_unit, count(*), max(pricing_public_on_demand_cost / quantity::DOUBLE) * 1e6 "
        f"FROM lines WHERE {absurd} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for usage_type, unit, rows, price in found:
        report.notes.append(
            f"bedrock: {rows} lines {usage_type!r} in {unit!r} would cost {price:.6g} USD per million tokens: the unit must "
            "mean something else. They are kept as unmapped."
        )
    if found:
        report.con.execute(
            "UPDATE lines SET quantity = line_item_usage_amount, meter = 'unmapped', unit = 'units', "
            f"model = line_item_usage_type, operation = 'other' WHERE {absurd}"
        )


_KEY = (
    "charge_period_start, charge_period_end, billing_account_id, sub_account_id, sub_account_name, region, resource_id, "
    "model, operation, service_tier, context_tier, inference_geo, user_id, tags"
)


def usage_table(report: Report, source: str) -> pa.Table:
    """Token rows of the window: one per meter and slice, amounts of equal slices added exactly."""
    return report.con.sql(
        f"""
        WITH slices AS (
            SELECT line_item_usage_start_date AS charge_period_start, line_item_usage_end_date AS charge_period_end,
                coalesce(bill_payer_account_id, line_item_usage_account_id) AS billing_account_id,
                line_item_usage_account_id AS sub_account_id,
                line_item_usage_account_name AS sub_account_name, region, resource_id, model, operation, service_tier,
                context_tier, inference_geo, line_item_iam_principal AS user_id,
                map_from_entries(list_sort(map_entries(all_tags))) AS tags,
                meter, unit, quantity, line_item_unblended_cost AS cost,
                coalesce(line_item_currency_code, 'USD') AS billing_currency
            FROM lines WHERE line_item_line_item_type IN ({_USAGE})
        ), summed AS (
            SELECT {_KEY}, meter, unit, billing_currency, sum(quantity) AS quantity, sum(cost) AS billed_cost
            FROM slices GROUP BY {_KEY}, meter, unit, billing_currency
        )
        SELECT charge_period_start, charge_period_end, 'bedrock' AS provider, billing_account_id, sub_account_id,
            sub_account_name, region, resource_id, model, operation, meter,
            CAST(quantity AS DECIMAL(19,6)) AS quantity, unit, service_tier, context_tier, inference_geo, user_id,
            CASE WHEN cardinality(tags) > 0 THEN tags END AS tags,
            CASE WHEN unit = 'tokens' THEN CAST(sum(quantity) FILTER (meter IN ({_INPUTS})) OVER (PARTITION BY {_KEY})
                AS BIGINT) END AS slice_input_tokens,
            '{source}' AS source, 'metered' AS quantity_basis, billed_cost, billing_currency
        FROM summed WHERE quantity <> 0 OR billed_cost <> 0
        ORDER BY charge_period_start, sub_account_id, model, meter, region, resource_id, user_id
        """
    ).to_arrow_table()


_CATEGORY = """CASE
    WHEN line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'FlatRateSubscription') THEN 'Usage'
    WHEN line_item_line_item_type = 'Tax' THEN 'Tax'
    WHEN line_item_line_item_type IN ('Credit', 'Refund') OR line_item_line_item_type LIKE '%Discount' THEN 'Credit'
    WHEN line_item_line_item_type LIKE '%Fee' THEN 'Purchase'
    ELSE 'Adjustment' END"""
_EFFECTIVE = """CASE line_item_line_item_type
    WHEN 'SavingsPlanCoveredUsage' THEN coalesce(savings_plan_savings_plan_effective_cost, line_item_unblended_cost)
    WHEN 'DiscountedUsage' THEN coalesce(reservation_effective_cost, line_item_unblended_cost)
    WHEN 'SavingsPlanNegation' THEN CAST(0 AS DECIMAL(38,18))
    ELSE line_item_unblended_cost END"""


def bills_table(report: Report, source: str) -> pa.Table:
    """Bill rows of the window: every line of the report, Marketplace, credits and tax included.

    `billed_cost` is the unblended cost: discounts are lines of their own, so the lines add up to the invoice.
    """
    return report.con.sql(
        f"""
        SELECT 'bedrock' AS provider, coalesce(bill_payer_account_id, line_item_usage_account_id) AS billing_account_id,
            bill_payer_account_name AS billing_account_name, line_item_usage_account_id AS sub_account_id,
            line_item_usage_account_name AS sub_account_name,
            coalesce(bill_billing_period_start_date, date_trunc('month', line_item_usage_start_date))
                AS billing_period_start,
            coalesce(bill_billing_period_end_date, date_trunc('month', line_item_usage_start_date) + INTERVAL 1 MONTH)
                AS billing_period_end,
            line_item_usage_start_date AS charge_period_start,
            greatest(line_item_usage_end_date, line_item_usage_start_date + INTERVAL 1 SECOND) AS charge_period_end,
            {_CATEGORY} AS charge_category,
            concat_ws(' | ', line_item_usage_type, line_item_line_item_type, line_item_line_item_description)
                AS charge_description,
            coalesce(product['product_name'], 'Amazon Bedrock') AS service_name, bill_invoice_id AS invoice_id,
            region, resource_id, product_sku AS sku_id, pricing_rate_code AS sku_price_id,
            CASE WHEN meter <> 'unmapped' THEN model END AS model, meter, service_tier,
            CASE WHEN {_CATEGORY} = 'Usage' THEN CAST(line_item_usage_amount AS DECIMAL(19,6)) END AS pricing_quantity,
            CASE WHEN {_CATEGORY} = 'Usage' THEN pricing_unit END AS pricing_unit,
            CASE WHEN {_CATEGORY} = 'Usage' AND meter <> 'unmapped' THEN CAST(quantity AS DECIMAL(19,6)) END
                AS consumed_quantity,
            CASE WHEN {_CATEGORY} = 'Usage' AND meter <> 'unmapped' THEN unit END AS consumed_unit,
            CAST(pricing_public_on_demand_rate AS DECIMAL(18,12)) AS list_unit_price,
            pricing_public_on_demand_cost AS list_cost,
            CASE WHEN {_CATEGORY} = 'Usage' THEN line_item_unblended_cost END AS contracted_cost,
            {_EFFECTIVE} AS effective_cost, line_item_unblended_cost AS billed_cost,
            coalesce(line_item_currency_code, 'USD') AS billing_currency,
            coalesce(savings_plan_savings_plan_a_r_n, reservation_reservation_a_r_n) AS commitment_discount_id,
            line_item_iam_principal AS user_id, CASE WHEN cardinality(all_tags) > 0 THEN all_tags END AS tags,
            '{source}' AS source
        FROM lines
        ORDER BY charge_period_start, line_item_usage_account_id, line_item_usage_type, line_item_line_item_type
        """
    ).to_arrow_table()


def fresh_until(report: Report) -> pd.Timestamp | None:
    """Latest usage end the report holds for the window."""
    import pandas as pd

    ((newest,),) = report.con.sql("SELECT max(line_item_usage_end_date) FROM lines").fetchall()
    return pd.Timestamp(newest, tz="UTC") if newest else None
