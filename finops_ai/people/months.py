"""What a person-month truly cost: seats by the day, use on demand and by API, all of it adding up to the invoices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.converting import BILL_COSTS, in_group
from finops_ai.engine.duck import connect, register
from finops_ai.errors import CheckFailed, DataError, FrameError, hint
from finops_ai.frames import BillFrame, empty, to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import NO_TEAM, Identities
from finops_ai.money import COST, written
from finops_ai.people.billed import USED, register_billed_use
from finops_ai.people.privacy import Privacy, told
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import Window, next_month, parse_month, zone
from finops_ai.prices.currency import Conversion
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.spreading import (
    Periods,
    as_cost,
    divide_among_holders,
    held_seats,
    register_lines,
    register_who,
    spread_sql,
    within,
)

if TYPE_CHECKING:
    import duckdb

KEYS = ("month", "person", "team", "provider")
#: what a true cost is made of, in order
CASH = ("seat_cost", "on_demand_cost", "usage_cost", "other_cost", "bill_difference")
#: moneys that are no cash, beside it
BESIDE = ("included_cost", "list_value")


def people_months(
    identities: Identities,
    *,
    usage: pd.DataFrame | None = None,
    bills: pd.DataFrame | None = None,
    seats: pd.DataFrame | None = None,
    prices: SeatPrices | None = None,
    month: str | Window | Sequence[str] | None = None,
    by: Sequence[str] = ("month", "person"),
    privacy: Privacy | None = None,
    timezone: str | None = None,
    known_from: dt.date | None = None,
    conversion: Conversion | None = None,
) -> Table:
    """True cost per person or team and month: seat share, on demand and API, adding up to the invoices to the cent.

    A charge is spread evenly over the days of its own period, and each day goes to whoever held its account on that day and
    to that person's team of that day; so people who join, leave or move are right, and a billing cycle from the 12th
    counts in each month with the days it has there. Where a provider bills use, its bill is the money: use keeps what it was
    computed to cost, and `bill_difference` is what the bill has beyond that.

    Args:
        identities: who is who, by day.
        usage: priced rows (`fa.price`, `ws.allocated`); `user_id` names the account.
        bills: bill frame; Purchase lines of providers that sell seats are seats, by `user_id`, or divided among the
            holders of `seats` by their days.
        seats: seat frame: who holds a seat. Where no bill has the seats of a provider, they are charged at `prices`.
        prices: prices of seats; the bundled ones by default.
        month: `YYYY-MM`, several of them, or a window of whole days such as a billing cycle; all months of the data by default.
        by: of month, person, team and provider.
        privacy: what may be seen of persons; by default names are masked, teams of fewer than 5 people are one row, and
            persons stand in the order of their names.
        timezone: whose days use is of; by default that of the rows. Charges of a bill keep the UTC days of their period.
        known_from: the first day that `usage` knows of; by default the first of its first row's month. A bill's line that began before is
            divided evenly as far as use isn't known.
        conversion: to the currency that usage and bills are in, for seats at list prices in another one; at the rate of each
            charge's first day.

    Returns:
        One row per group: the keys; `seat_cost`, `on_demand_cost` (charged use beyond what a seat covers), `usage_cost` (use
        billed as it is used), `other_cost` (credits, tax, adjustments and other purchases), `bill_difference`; `cost`, their
        sum; beside it `included_cost` (use that allowances cover, at the vendor's rates) and `list_value` (use that only logs
        tell, at list prices), which are no cash and never added; `seat_days`; without persons among the keys, `people`.
        `currency` where there are several. Amounts are exact.

    Raises:
        DataError: neither usage, bills nor seats; a month that is none.
        FrameError: usage that isn't priced; an unknown key.
        CheckFailed: a unit of money that is in no row.

    Example:
        >>> import finops_ai as fa
        >>> ada = fa.Identities.load(
        ...     [{"account": "ada@example.com", "person": "Ada"}],
        ...     [{"person": "Ada", "team": "web", "valid_to": "2026-10-15"}, {"person": "Ada", "team": "core", "valid_from": "2026-10-15"}])
        >>> from finops_ai.frames import SeatFrame, conform
        >>> seat = conform({"provider": ["cursor"], "plan": ["teams-standard"], "user_id": ["Ada@Example.com"],
        ...     "telemetry": ["on"], "source": ["api"]}, SeatFrame, source="me")
        >>> table = fa.people_months(ada, seats=seat, month="2026-10", by=["team"], privacy=fa.Privacy(smallest=1))
        >>> table[["team", "seat_days", "cost"]]
        True cost by team 2026-10
        team   seat_days   cost
        core          17  21.94
        web           14  18.06
        total             40.00
        ...
    """
    by = list(dict.fromkeys(by))
    for key in by:
        if key not in KEYS:
            raise FrameError(f"people_months can't group by {key!r}. {hint(key, KEYS)}")
    if usage is None and bills is None and seats is None:
        raise DataError("There is nothing to add up: give usage, bills or seats.")
    if usage is not None and "price_status" not in usage.columns:
        raise FrameError("people_months takes priced rows; call fa.price first.")
    timezone = zone_of(*(() if usage is None else (usage,)), timezone=timezone)
    bills = empty(BillFrame) if bills is None else bills
    privacy = told(privacy, identities)
    prices = prices or SeatPrices.default()
    periods = _periods(month, usage, bills, seats, timezone)
    sellers = {row.provider for row in prices.rows} | (set(seats["provider"]) if seats is not None else set())
    charged, listed = seats_at_list(bills, seats, prices, periods)
    if conversion is not None:
        charged = [
            (in_group(bill, conversion, costs=BILL_COSTS, currency="billing_currency", timezone=timezone), name)
            for bill, name in charged
        ]
    with connect() as con:
        register_who(con, identities, periods)
        register_lines(con, [(bills, None), *charged])
        _make_entries(con, usage, seats, sellers, timezone, periods, known_from)
        _check(con)
        frame, facts = _totals(con, by, privacy, identities)
    facts.notes = [*_said_of_seats(listed, seats, prices, periods), *facts.notes]
    facts.title = f"True cost by {', '.join(k for k in by if k != 'month') or 'month'}" if by else "True cost"
    facts.period = periods[0][0] if len(periods) == 1 else f"{periods[0][0]} to {periods[-1][0]}"
    sources = [f for f in (usage, bills) if f is not None]
    return Table.of(frame, facts, *sources)


def _periods(
    month: str | Window | Sequence[str] | None,
    usage: pd.DataFrame | None,
    bills: pd.DataFrame,
    seats: pd.DataFrame | None,
    timezone: str,
) -> Periods:
    """The periods asked for, as days."""
    if isinstance(month, Window):
        first, last = (moment.astimezone(zone(timezone)).date() for moment in (month.start, month.end - _TICK))
        return [(month.in_words(timezone), first, last + dt.timedelta(days=1))]
    if month is not None:
        names = [month] if isinstance(month, str) else list(month)
        return [(name, parse_month(name), next_month(parse_month(name))) for name in names]
    ends: list[tuple[Any, Any]] = []
    for frame in (usage, bills):
        if frame is not None and len(frame):
            ends.append((frame["charge_period_start"].min(), frame["charge_period_end"].max()))
    if not ends:
        raise DataError("Which month? Seats alone don't tell; give month=, such as '2026-10'.")
    first = min(a for a, _ in ends).date().replace(day=1)
    after = (max(b for _, b in ends) - pd.Timedelta(1, "us")).date()
    out = []
    while first <= after:
        out.append((f"{first:%Y-%m}", first, next_month(first)))
        first = next_month(first)
    return out


_TICK = dt.timedelta(microseconds=1)


def seats_at_list(
    bills: pd.DataFrame, seats: pd.DataFrame | None, prices: SeatPrices, periods: Periods
) -> tuple[list[tuple[pd.DataFrame, str | None]], dict[str, list[str]]]:
    """Charges at list prices of the seats that no bill of a period has, each with its period; and whose seats those are."""
    pieces: list[tuple[pd.DataFrame, str | None]] = []
    listed: dict[str, list[str]] = {}
    if seats is None or not len(seats):
        return pieces, listed
    purchased = bills[(bills["charge_category"] == "Purchase").to_numpy(bool)]
    for name, first, after in periods:
        window = Window.of(first, after)
        here = (purchased["charge_period_start"] < window.end) & (purchased["charge_period_end"] > window.start)
        lacking = sorted(set(seats["provider"]) - set(purchased["provider"][here.to_numpy(bool)]))
        if lacking:
            pieces.append((prices.charges(seats[seats["provider"].isin(lacking).to_numpy(bool)], window), name))
        for provider in lacking:
            listed.setdefault(provider, []).append(name)
    return pieces, listed


def _make_entries(
    con: duckdb.DuckDBPyConnection,
    usage: pd.DataFrame | None,
    seats: pd.DataFrame | None,
    sellers: set[str],
    timezone: str,
    periods: Periods,
    known_from: dt.date | None,
) -> None:
    """Make the table `entries`: one amount per period, account, person, team, provider, currency and kind of money."""
    if seats is not None and len(seats):
        held_seats(con, seats)
        divide_among_holders(con)
    register(con, "sellers", pa.table({"provider": pa.array(sorted(sellers), pa.string())}))
    register_billed_use(con, usage, timezone, periods, known_from)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE spread AS
        SELECT s.*, CASE WHEN s.charge_category = 'Usage' THEN CASE WHEN s.provider IN (SELECT provider FROM sellers) THEN 'on_demand_cost' ELSE 'usage_cost' END
            WHEN s.charge_category = 'Purchase' AND (s.account IS NOT NULL OR s.provider IN (SELECT provider FROM sellers)) THEN 'seat_cost'
            WHEN s.charge_category = 'Difference' THEN 'bill_difference' ELSE 'other_cost' END AS money
        FROM ({spread_sql()}) s""")
    used = " UNION ALL ".join(
        f"SELECT s.period, u.account, u.person, u.team, u.provider, u.currency, '{name}' AS money, u.{name} AS part, 0 AS days "
        f"FROM {'kept_use' if name in CASH else 'used_days'} u JOIN spans s ON u.day >= s.first AND u.day < s.after WHERE u.{name} <> 0"
        for name in USED
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE entries AS
        SELECT period, account, person, team, provider, billing_currency AS currency, money, part, CASE money WHEN 'seat_cost' THEN held ELSE 0 END AS days
        FROM spread WHERE part <> 0 OR money = 'seat_cost' UNION ALL {used}""")


def _check(con: duckdb.DuckDBPyConnection) -> None:
    """Every unit of every line's days in the periods, and of use nobody bills, is in an entry."""
    wanted = con.execute(f"""
        SELECT billing_currency, sum(cost * high // days - cost * low // days) FROM (
          SELECT l.*, greatest(l.begins, s.first) - l.begins AS low, least(l.begins + CAST(l.days AS INTEGER), s.after) - l.begins AS high
          FROM lines l JOIN spans s ON {within("l")})
        GROUP BY 1""").fetchall()
    used = con.execute("""
        SELECT currency, sum(on_demand_cost + usage_cost) FROM kept_use u JOIN spans s ON u.day >= s.first AND u.day < s.after GROUP BY 1""").fetchall()
    cash = ", ".join(f"'{name}'" for name in CASH)
    made = con.execute(f"SELECT currency, sum(part) FROM entries WHERE money IN ({cash}) GROUP BY 1").fetchall()
    expected: dict[str | None, int] = {}
    for currency, amount in (*wanted, *used):
        expected[currency] = expected.get(currency, 0) + int(amount or 0)
    found = {currency: int(amount or 0) for currency, amount in made}
    for currency in expected.keys() | found.keys():
        if expected.get(currency, 0) != found.get(currency, 0):
            off = Decimal(found.get(currency, 0) - expected.get(currency, 0)).scaleb(-COST[1])
            raise CheckFailed(f"people_months: the rows are {off} {currency} off the bills and use they are made of.")


def _totals(
    con: duckdb.DuckDBPyConnection, by: list[str], privacy: Privacy, identities: Identities
) -> tuple[pd.DataFrame, Facts]:
    """Entries added up by the keys, as they may be shown."""
    found = con.sql(
        "SELECT DISTINCT person, CASE WHEN person IS NULL THEN account END AS account FROM entries"
    ).to_arrow_table()
    names = [privacy.name(row["person"], row["account"]) for row in found.to_pylist()]
    register(con, "names", found.append_column("shown", pa.array(names, pa.string())))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE told AS
        SELECT e.period AS month, n.shown AS person, e.person AS who, coalesce(e.team, '{NO_TEAM}') AS team, e.provider, e.currency,
          e.money, e.part, e.days
        FROM entries e JOIN names n ON e.person IS NOT DISTINCT FROM n.person
          AND (CASE WHEN e.person IS NULL THEN e.account END) IS NOT DISTINCT FROM n.account""")
    team, notes = "team", []
    if "team" in by and "person" not in by:
        within = ["month"] if "month" in by else []
        members = con.sql(f"SELECT DISTINCT {', '.join([*within, 'team'])}, who AS person FROM told").df()
        hidden = sorted(privacy.hidden(members, "team", within))
        if hidden:
            small = pa.table(
                {n: pa.array([k[i] for k in hidden], pa.string()) for i, n in enumerate([*within, "team"])}
            )
            register(con, "small", small)
            on = " AND ".join(f"h.{n} = t.{n}" for n in small.column_names)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE told AS SELECT t.* REPLACE (CASE WHEN h.team IS NULL THEN t.team ELSE '{privacy.small}' END AS team) "
                f"FROM told t LEFT JOIN small h ON {on}"
            )
            notes.append(f"Teams of fewer than {privacy.smallest} people are one row; [people] smallest changes that.")
    several = con.execute("SELECT count(DISTINCT currency), min(currency) FROM told").fetchall()[0]
    keys = [*by, *(["currency"] if several[0] > 1 else [])]
    sums = [f"{as_cost(_sum(name))} AS {name}" for name in CASH]
    cash = ", ".join(f"'{name}'" for name in CASH)
    sums.append(f"{as_cost(f'CAST(coalesce(sum(part) FILTER (WHERE money IN ({cash})), 0) AS HUGEINT)')} AS cost")
    sums += [
        f"CASE WHEN count(*) FILTER (WHERE money = '{name}') > 0 THEN {as_cost(_sum(name))} END AS {name}"
        for name in BESIDE
    ]
    sums.append("CAST(sum(days) AS BIGINT) AS seat_days")
    if "person" not in by:
        sums.append("count(DISTINCT who) AS people")
    picked = ", ".join([*(f"{team if k == 'team' else k} AS {k}" for k in keys), *sums])
    ordered = ["cost DESC"] if privacy.ranked or "person" not in by else []
    times = ["month"] if "month" in by else []
    order = ", ".join([*times, *ordered, *(k for k in keys if k != "month")]) or "1"
    table = con.sql(
        f"SELECT {picked} FROM told{' GROUP BY ' + ', '.join(keys) if keys else ''} ORDER BY {order}"
    ).to_arrow_table()
    table = table.cast(
        pa.schema([(f.name, COST_TYPE if pa.types.is_decimal(f.type) else f.type) for f in table.schema])
    )
    facts = _facts(con, several[1] if several[0] == 1 else "", privacy, by)
    facts.notes += notes
    return to_pandas(table), facts


def _sum(name: str) -> str:
    return f"CAST(coalesce(sum(part) FILTER (WHERE money = '{name}'), 0) AS HUGEINT)"


def _facts(con: duckdb.DuckDBPyConnection, currency: str, privacy: Privacy, by: Sequence[str]) -> Facts:
    cash = ", ".join(f"'{name}'" for name in CASH)
    whole, owned, gap = con.execute(
        f"""SELECT coalesce(sum(abs(part)) FILTER (WHERE money IN ({cash})), 0),
              coalesce(sum(abs(part)) FILTER (WHERE money IN ({cash}) AND who IS NOT NULL), 0),
              coalesce(sum(part) FILTER (WHERE money = 'bill_difference'), 0) FROM told"""
    ).fetchall()[0]
    (unpriced,) = con.execute(
        "SELECT coalesce(sum(unpriced), 0) FROM used_days u JOIN spans s ON u.day >= s.first AND u.day < s.after"
    ).fetchall()[0]
    notes = [
        "Cost is cash. What allowances cover and what logs are worth at list prices stand beside it and are never added."
    ]
    if gap and currency:
        amount = Decimal(int(gap)).scaleb(-COST[1])
        notes.append(
            f"{written(amount, currency)} {currency} is on bills beyond what use was computed to cost; it is nobody's."
        )
    if unpriced:
        notes.append(f"{int(unpriced):,} rows of use have no known price; their cost is unknown and not in the total.")
    if "person" in by and not privacy.shown:
        notes.append("Names are masked; whoever has the right to see them asks for Privacy(shown=True).")
    return Facts(
        "True cost",
        currency,
        conserves="every charge's days in the period and all use that no bill has, to the last digit",
        coverage={"by person": float(Decimal(int(owned)) / Decimal(int(whole))) if whole else None},
        notes=notes,
        money=["cost", *CASH, *BESIDE],
        adds=[("cost", CASH)],
        total=True,
        charged=True,
    )


def _said_of_seats(
    listed: dict[str, list[str]], seats: pd.DataFrame | None, prices: SeatPrices, periods: Periods
) -> list[str]:
    notes = []
    for provider, names in sorted(listed.items()):
        when = "" if len(names) == len(periods) else f" in {', '.join(names)}"
        notes.append(f"Seats of {provider} are at the price list, not an invoice: no bill has them{when}.")
    if seats is not None:
        missing = [f"{p} {plan}" for p, plan in prices.unpriced(seats, periods[0][1]) if p in listed]
        if missing:
            notes.append(
                f"No price is known of seats of {', '.join(missing)}; their cost is unknown. Enter it in [[seats]]."
            )
    return notes


__all__ = ["BESIDE", "CASH", "people_months", "seats_at_list"]
