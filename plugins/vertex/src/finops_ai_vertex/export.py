"""The Cloud billing export to frames: SKUs read, credits netted, corrections kept, all money exact."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.periods import UTC, Window
from finops_ai.providers import LeftOut, left_out_of
from finops_ai.providers.duck import connect
from finops_ai.providers.parsing import require_shape
from finops_ai_vertex.columns import flatten, load_files
from finops_ai_vertex.skus import Sku, classify, model_id

SERVICES = ("Vertex AI", "Gemini API", "Generative Language API")
#: a list price outside this band (USD per token: 0.003 to 600 per million) means the unit was misread
PRICE_BAND = (Decimal("3e-9"), Decimal("6e-4"))
#: Google's invoice months are Pacific
INVOICE_ZONE = "America/Los_Angeles"

_INPUTS = ", ".join(f"'{m.name}'" for m in meters().values() if m.is_token and m.direction == "input")
_MAP = pa.map_(pa.string(), pa.string())


@dataclass
class Export:
    """Rows of a window, read but not yet framed.

    Attributes:
        con: DuckDB connection with the table `lines`, one row per row of the export with what it means.
        notes: what a reader must know.
        left_out: the export's other rows of the window, by service.
    """

    con: duckdb.DuckDBPyConnection
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def selection(services: Sequence[str], service: str = "service_description", sku: str = "sku_description") -> str:
    """The condition that picks generative AI: Vertex AI, Gemini API, and Claude, whose services are named per model.

    Args:
        services: descriptions of further services.
        service: column of the service's description.
        sku: column of the SKU's description.
    """
    names = ", ".join("'" + name.replace("\\", "").replace("'", "") + "'" for name in (*SERVICES, *services))
    return f"({service} IN ({names}) OR {service} LIKE '%Claude%' OR {sku} LIKE '%Claude%')"


def read_files(paths: Sequence[Path], window: Window, **options: object) -> Export:
    """Read saved export files; arguments as `explain`."""
    con = connect()
    load_files(con, "loaded", paths)
    return explain(con, "loaded", window, **options)  # type: ignore[arg-type]


def read_table(table: pa.Table, window: Window, **options: object) -> Export:
    """Read rows that BigQuery gave, in flat columns; arguments as `explain`."""
    con = connect()
    con.register("answer", table)
    times = {"usage_start_time", "usage_end_time"}
    have = {name: f"make_timestamp(epoch_us({name}))" if name in times else name for name in table.column_names}
    flatten(con, "loaded", "answer", have)
    return explain(con, "loaded", window, **options)  # type: ignore[arg-type]


def explain(
    con: duckdb.DuckDBPyConnection,
    loaded: str,
    window: Window,
    *,
    services: Sequence[str] = (),
    model_names: Mapping[str, str] | None = None,
) -> Export:
    """Pick the rows of the window that are AI, and say what each means.

    Args:
        con: holds the table `loaded` with the flat columns.
        window: half-open window of usage start.
        services: descriptions of further services to take.
        model_names: the user's names of models.
    """
    within = (
        f"usage_start_time >= TIMESTAMP '{window.start:%Y-%m-%d %H:%M:%S.%f}'"
        f" AND usage_start_time < TIMESTAMP '{window.end:%Y-%m-%d %H:%M:%S.%f}'"
    )
    export = Export(con, left_out=_others(con, loaded, selection(services), within))
    con.execute(f"CREATE TEMP TABLE picked AS SELECT * FROM {loaded} WHERE {selection(services)} AND {within}")
    _explain_skus(export, model_names or {})
    _explain_texts(con)
    _explain_months(con)
    con.execute(
        """
        CREATE TEMP TABLE lines AS SELECT picked.*,
            coalesce(meter, 'unmapped') AS meter,
            coalesce(unit, 'units') AS unit,
            coalesce(model, sku_description) AS model,
            coalesce(operation, 'other') AS operation,
            coalesce(service_tier, 'standard') AS service_tier,
            context_tier, inference_geo,
            coalesce(t_labels.pairs, MAP {}) AS own_labels,
            map_concat(coalesce(t_project.pairs, MAP {}), coalesce(t_tags.pairs, MAP {}), coalesce(t_labels.pairs, MAP {}))
                AS all_tags,
            coalesce(picked.region, location) AS place,
            coalesce(resource_global_name, resource_name) AS resource_id,
            coalesce(t_credits.amount, 0) AS credit,
            CASE WHEN cost IS NOT NULL OR t_credits.amount <> 0 THEN coalesce(cost, 0) + coalesce(t_credits.amount, 0) END AS net_cost,
            coalesce(cost_type, 'regular') AS kind,
            m_start AS month_start, m_end AS month_end
        FROM picked
        LEFT JOIN known ON s_text IS NOT DISTINCT FROM sku_description AND s_unit IS NOT DISTINCT FROM usage_unit
        LEFT JOIN texts AS t_project ON t_project.text = project_labels
        LEFT JOIN texts AS t_tags ON t_tags.text = picked.tags
        LEFT JOIN texts AS t_labels ON t_labels.text = labels
        LEFT JOIN texts AS t_credits ON t_credits.text = credits
        LEFT JOIN months ON m_name = coalesce(invoice_month, strftime(usage_start_time, '%Y%m'))
        """
    )
    _check_units(export)
    ((silent,),) = con.sql("SELECT count(*) FROM lines WHERE net_cost IS NULL").fetchall()
    if silent:
        export.notes.append(f"vertex: {silent} rows state no cost; they are in usage only.")
    return export


def _others(con: duckdb.DuckDBPyConnection, loaded: str, chosen: str, within: str) -> list[LeftOut]:
    """The rows of the window that aren't AI: by service, and tax, rounding and adjustments that name none."""
    rows = con.sql(
        f"SELECT service_description, cost_type, currency, credits, count(*), coalesce(sum(cost), 0) FROM {loaded} "
        f"WHERE {within} AND NOT coalesce({chosen}, false) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return left_out_of(
        (reason_of(service, kind), unit or "", count, amount + count * credit_of(credits))
        for service, kind, unit, credits, count, amount in rows
    )


def others_of(answer: pa.Table) -> list[LeftOut]:
    """What BigQuery's sums of the rows that aren't AI (`columns.bigquery_others`) come to."""
    return left_out_of(
        (
            reason_of(row["service_description"], row["cost_type"]),
            row["currency"] or "",
            int(row["found"]),
            exact(row["cost"] or 0) + exact(row["credit"] or 0),
        )
        for row in answer.to_pylist()
    )


def reason_of(service: str | None, kind: str | None) -> str:
    """Why a row of the export is left out.

    >>> reason_of("BigQuery", "regular"), reason_of(None, "tax")
    ('another service: BigQuery', 'tax that names no service')
    """
    named = service and service.lower() != "invoice"
    if kind in (None, "", "regular"):
        return f"another service: {service or 'not named'}"
    return f"{kind} of another service: {service}" if named else f"{kind} that names no service"


def credit_of(text: str | None) -> Decimal:
    """The sum of a row's credits."""
    found = entries(text) if text else []
    return sum((Decimal(str(e["amount"])) for e in found if e.get("amount") is not None), Decimal(0))


def _explain_skus(export: Export, own: Mapping[str, str]) -> None:
    rows: list[tuple[str, str, Sku, str | None]] = []
    strangers = set()
    query = "SELECT DISTINCT sku_description, usage_unit FROM picked WHERE coalesce(cost_type, 'regular') = 'regular' ORDER BY ALL"
    for text, unit in export.con.sql(query).fetchall():
        sku = classify(text or "", unit or "count")
        model = model_id(sku.model_name, own) if sku.model_name else None
        if sku.meter == "unmapped":
            export.notes.append(f"vertex: {text!r} in {unit!r} is kept as unmapped ({sku.why}).")
        elif sku.model_name and not model:
            strangers.add(sku.model_name)
        rows.append((text, unit, sku, model))
    if strangers:
        export.notes.append(
            f"vertex: unknown model names {sorted(strangers)}: kept as they are, unpriced. Name their model id in the setting "
            "`model_names`."
        )
    text_type = pa.string()
    columns = {
        "s_text": [r[0] for r in rows],
        "s_unit": [r[1] for r in rows],
        "meter": [r[2].meter for r in rows],
        "unit": [meters()[r[2].meter].unit for r in rows],
        "model": [r[0] if r[2].meter == "unmapped" else r[3] or r[2].model_name or r[0] for r in rows],
        "operation": [r[2].operation for r in rows],
        "service_tier": [r[2].service_tier for r in rows],
        "context_tier": [r[2].context_tier for r in rows],
        "inference_geo": [r[2].inference_geo for r in rows],
    }
    export.con.register("known", pa.table({name: pa.array(values, text_type) for name, values in columns.items()}))


def _explain_texts(con: duckdb.DuckDBPyConnection) -> None:
    """The table `texts`: each distinct JSON text once, as key-value pairs and as a sum of amounts."""
    names = ("labels", "tags", "project_labels", "credits")
    query = " UNION ".join(f"SELECT {name} FROM picked WHERE {name} IS NOT NULL" for name in names)
    texts = [text for (text,) in con.sql(query).fetchall()]
    read = [entries(text) for text in texts]
    pairs = [sorted({str(e["key"]): str(e.get("value") or "") for e in found if "key" in e}.items()) for found in read]
    for text, found in zip(texts, read, strict=True):
        require_shape(found, [{"amount": "number"}], f"vertex: the credits {text[:80]!r}")
    sums = [sum((exact(e["amount"]) for e in found if e.get("amount") is not None), Decimal(0)) for found in read]
    con.register(
        "texts",
        pa.table(
            {
                "text": pa.array(texts, pa.string()),
                "pairs": pa.array(pairs, _MAP),
                "amount": pa.array(sums, pa.decimal128(38, 18)),
            }
        ),
    )


def entries(text: str) -> list[dict[str, object]]:
    """The records of a repeated column written as JSON, however deep the writer wrapped its lists.

    >>> entries('[{"key": "team", "value": "search"}]') == entries('{"list": [{"element": {"key": "team", "value": "search"}}]}')
    True
    """
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise DataError(f"vertex: {text[:80]!r} is no list of records in JSON. Nothing was stored.") from None
    if isinstance(found, dict) and "list" in found:
        found = found["list"]
    if not isinstance(found, list | None):
        raise DataError(f"vertex: {text[:80]!r} is no list of records in JSON. Nothing was stored.")
    unwrapped = [e.get("element", e) if isinstance(e, dict) else e for e in found or []]
    return [e for e in unwrapped if isinstance(e, dict)]


def _explain_months(con: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT DISTINCT coalesce(invoice_month, strftime(usage_start_time, '%Y%m')) FROM picked"
    names = [name for (name,) in con.sql(query).fetchall()]
    windows = [Window.month(f"{name[:4]}-{name[4:]}", INVOICE_ZONE) for name in names]
    stamp = pa.timestamp("us")
    con.register(
        "months",
        pa.table(
            {
                "m_name": pa.array(names, pa.string()),
                "m_start": pa.array([w.start.replace(tzinfo=None) for w in windows], stamp),
                "m_end": pa.array([w.end.replace(tzinfo=None) for w in windows], stamp),
            }
        ),
    )


def _check_units(export: Export) -> None:
    """A token row whose price per token is absurd had its unit misread: it is shown, not counted as tokens."""
    low, high = PRICE_BAND
    rate = "coalesce(conversion_rate, CASE WHEN currency = 'USD' THEN 1 END)"
    price = f"coalesce(cost_at_list, cost) / (CAST(usage_amount AS DOUBLE) * CAST({rate} AS DOUBLE))"
    absurd = f"unit = 'tokens' AND usage_amount > 0 AND coalesce(cost_at_list, cost) > 0 AND ({price} < {low} OR {price} > {high})"
    found = export.con.sql(
        f"SELECT sku_description, usage_unit, count(*), max({price}) * 1e6 FROM lines WHERE {absurd} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for text, unit, rows, worst in found:
        export.notes.append(
            f"vertex: {rows} rows {text!r} in {unit!r} would cost {worst:.6g} USD per million tokens: the unit must mean "
            "something else. They are kept as unmapped."
        )
    if found:
        export.con.execute(
            "UPDATE lines SET meter = 'unmapped', unit = 'units', model = sku_description, operation = 'other' "
            f"WHERE {absurd}"
        )


_KEY = (
    "billing_account_id, sub_account_id, sub_account_name, region, resource_id, model, operation, service_tier, context_tier, "
    "inference_geo, prompt_id, tags"
)


def usage_table(export: Export, prompt_label: str) -> pa.Table:
    """Token rows of the window: one per meter and slice. Taken from regular rows; corrections of money are in the bill.

    Late rows of an hour are added to it. Where a correction takes back more than its hour holds, the whole day becomes one
    slice.

    Args:
        export: the rows read.
        prompt_label: request label that names the prompt.

    Raises:
        DataError: a day's usage stays below 0.
    """
    con = export.con
    label = prompt_label.replace("'", "''")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE summed AS
        WITH slices AS (
            SELECT usage_start_time AS s, usage_end_time AS e, billing_account_id, project_id AS sub_account_id,
                project_name AS sub_account_name, place AS region, resource_id, model, operation, service_tier, context_tier,
                inference_geo, own_labels['{label}'] AS prompt_id,
                CASE WHEN cardinality(all_tags) > 0 THEN map_from_entries(list_sort(map_entries(all_tags))) END AS tags,
                meter, unit, currency, usage_amount AS q, net_cost AS c
            FROM lines WHERE kind = 'regular'
        ), hourly AS (
            SELECT s, e, {_KEY}, meter, unit, currency, sum(q) AS q, sum(c) AS c FROM slices
            GROUP BY s, e, {_KEY}, meter, unit, currency
        ), grained AS (
            SELECT *, min(q) OVER (PARTITION BY {_KEY}, meter, unit, currency, CAST(s AS DATE)) < 0 AS by_day FROM hourly
        )
        SELECT CASE WHEN by_day THEN date_trunc('day', s) ELSE s END AS charge_period_start,
            CASE WHEN by_day THEN date_trunc('day', s) + INTERVAL 1 DAY ELSE e END AS charge_period_end,
            {_KEY}, meter, unit, currency, sum(q) AS q, sum(c) AS c
        FROM grained GROUP BY ALL
        """
    )
    if below := con.sql(
        "SELECT model, meter, charge_period_start, q FROM summed WHERE q < 0 ORDER BY ALL LIMIT 1"
    ).fetchall():
        model, meter, when, quantity = below[0]
        raise DataError(
            f"vertex: the export's usage of {model} ({meter}) on {when:%Y-%m-%d} adds up to {quantity}: a correction takes back "
            "more than there was. Read a window that holds what it corrects. Nothing was stored."
        )
    return con.sql(
        f"""
        SELECT charge_period_start, charge_period_end, 'vertex' AS provider, {_KEY}, meter,
            CAST(q AS DECIMAL(19,6)) AS quantity, unit,
            CASE WHEN unit = 'tokens' THEN CAST(sum(q) FILTER (meter IN ({_INPUTS}))
                OVER (PARTITION BY charge_period_start, charge_period_end, {_KEY}) AS BIGINT) END AS slice_input_tokens,
            'billing_export' AS source, 'metered' AS quantity_basis, c AS billed_cost, currency AS billing_currency
        FROM summed WHERE q <> 0 OR c <> 0
        ORDER BY charge_period_start, sub_account_id, model, meter, region, resource_id, prompt_id
        """
    ).to_arrow_table()


_CATEGORY = "CASE kind WHEN 'regular' THEN 'Usage' WHEN 'tax' THEN 'Tax' ELSE 'Adjustment' END"


def bills_table(export: Export) -> pa.Table:
    """Bill rows of the window: every row of the export, credits netted; list cost beside it."""
    return export.con.sql(
        f"""
        SELECT 'vertex' AS provider, billing_account_id, project_id AS sub_account_id, project_name AS sub_account_name,
            month_start AS billing_period_start, month_end AS billing_period_end,
            usage_start_time AS charge_period_start,
            greatest(usage_end_time, usage_start_time + INTERVAL 1 SECOND) AS charge_period_end,
            {_CATEGORY} AS charge_category,
            CASE WHEN kind = 'adjustment' AND strftime(usage_start_time, '%Y%m') < invoice_month THEN 'Correction' END
                AS charge_class,
            concat_ws(' | ', sku_description, CASE WHEN kind <> 'regular' THEN kind END) AS charge_description,
            service_description AS service_name, place AS region, resource_id, sku_id,
            CASE WHEN meter <> 'unmapped' THEN model END AS model, meter, service_tier,
            CAST(pricing_amount AS DECIMAL(19,6)) AS pricing_quantity, pricing_unit,
            CASE WHEN kind = 'regular' AND meter <> 'unmapped' THEN CAST(usage_amount AS DECIMAL(19,6)) END
                AS consumed_quantity,
            CASE WHEN kind = 'regular' AND meter <> 'unmapped' THEN unit END AS consumed_unit,
            CAST(list_price AS DECIMAL(18,12)) AS list_unit_price,
            CAST(effective_price AS DECIMAL(18,12)) AS contracted_unit_price,
            cost_at_list AS list_cost, cost AS contracted_cost, net_cost AS effective_cost, net_cost AS billed_cost,
            currency AS billing_currency, commitment AS commitment_discount_id,
            CASE WHEN cardinality(all_tags) > 0 THEN all_tags END AS tags, 'billing_export' AS source
        FROM lines WHERE net_cost IS NOT NULL
        ORDER BY charge_period_start, project_id, sku_description, cost
        """
    ).to_arrow_table()


def fresh_until(export: Export) -> dt.datetime | None:
    """Latest usage end the export holds for the window."""
    ((newest,),) = export.con.sql("SELECT max(usage_end_time) FROM lines").fetchall()
    return newest.replace(tzinfo=UTC) if newest else None
