"""What a report notebook says: the answer in a sentence, tables that fit a page, coverage. All text is escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from IPython.display import HTML, display

from finops_ai.figures import ingredients
from finops_ai.frames.origin import left_out_of
from finops_ai.money import brief, published, written
from finops_ai.periods import Window, instant, zone
from finops_ai.reporting import charts
from finops_ai.reporting.coverage import coverage as coverage
from finops_ai.reporting.coverage import day_text
from finops_ai.reporting.coverage import so_far as so_far
from finops_ai.reporting.coverage import stamp as stamp
from finops_ai.reporting.grid import grid as grid
from finops_ai.reporting.grid import heading as heading
from finops_ai.reporting.grid import label as label
from finops_ai.reporting.grid import read
from finops_ai.reporting.grid import table_html as table_html
from finops_ai.reporting.months import month_before as month_before
from finops_ai.reporting.months import month_text as month_text
from finops_ai.reporting.months import month_with_data as month_with_data
from finops_ai.reporting.text import amount, count, is_unknown, money, percent, rate, safe, singular, things
from finops_ai.reporting.text import named as named
from finops_ai.tables.grouping import nobody_of

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.tables.explain import Explanation
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace


def say(*sentences: str) -> None:
    """The page's answer: HTML sentences whose outside text is already escaped."""
    display(HTML(f'<p class="answer">{" ".join(sentences)}</p>'))


def note(text: str) -> None:
    """A remark in small print; the text is escaped here."""
    display(HTML(f'<p class="note">{safe(text)}</p>'))


def first_dimension(ws: Workspace) -> str:
    """The first dimension of the workspace's rules; without rules the model."""
    names = list(ws.rules.dimensions)
    return names[0] if names else "model"


def showback_sentence(table: Table, by: str, month: str, until: str = "") -> None:
    """Say total, change and the largest group in one sentence; see `showback_words`."""
    say(showback_words(table, by, month, until))


def showback_words(table: Table, by: str, month: str, until: str = "") -> str:
    """Total, change and the largest group in one sentence of HTML.

    Args:
        table: showback by one column.
        by: that column.
        month: the month shown.
        until: the last day that is known of a month that isn't whole (see `so_far`); it is said, and what it compares with.
    """
    shown = table.published()
    costs = [c for c in shown["cost"] if not is_unknown(c)]
    if not costs or (not sum(costs, Decimal(0)) and (table["priced"] == 0).any()):
        tokens = sum((t for t in table["tokens"] if not is_unknown(t)), Decimal(0))
        return f"The cost of {safe(month_text(month))} is <strong>unknown</strong>: no price is known for its {count(tokens)} tokens."
    total, currency = sum(costs, Decimal(0)), table.facts.currency or "several currencies"
    text = (
        f"{safe(month_text(month))}{f' up to {until}' if until else ''} cost <strong>{amount(total, currency)}</strong>"
    )
    before = [c for c in shown["previous_cost"] if not is_unknown(c)] if "previous_cost" in shown else []
    if before:
        text += ", " + against(total, sum(before, Decimal(0)), currency, until)
    owned = shown[[not nobody(table, by, name) for name in shown[by]]]
    if len(owned) > 1 and total > 0:
        first = owned.iloc[0]
        text += f"; {safe(label(first[by]))} is the largest {safe(named(by))} with {percent(first['cost'], total)}"
    return text + "."


def lead(table: Table, by: str, words: Mapping[str, str]) -> str:
    """Who weighs most in a month and who is new in it, in a sentence; "" where nobody is told apart."""
    shown = table.published()
    named_rows = [r for r in shown.to_dict("records") if label(r[by]) not in words and not is_unknown(r["cost"])]
    total = sum((c for c in shown["cost"] if not is_unknown(c)), Decimal(0))
    if len(named_rows) < 2 or total <= 0:
        return ""
    first = named_rows[0]
    return f"{label(first[by])} is the largest {named(by)} with {percent(first['cost'], total)}"


def nobody(table: pd.DataFrame, by: str, name: object) -> bool:
    """Whether a value of a table's column is no owner: idle capacity, shared cost, cost that no rule maps or that no name was captured of."""
    return is_unknown(name) or str(name) in nobody_of(table, by)


def against(now: Decimal, before: Decimal, currency: str, until: str = "") -> str:
    """How an amount compares with the month before, in words; of a month known `until` a day without a share.

    >>> against(Decimal(110), Decimal(100), "USD"), against(Decimal(1), Decimal(0), "USD")
    ('10.00 USD (10.0%) more than the month before', '1.00 USD more than the month before')
    """
    change = published(now, currency) - published(before, currency)
    if not change:
        return "as much as the month before"
    share = f" ({percent(abs(change), abs(before))})" if before and not until else ""
    which = "whole month before" if until else "month before"
    return f"{amount(abs(change), currency)}{share} {'more' if change > 0 else 'less'} than the {which}"


def table(data: Table | None, columns: Sequence[str], *, top: int = 12, id: str | None = None, **more: Any) -> None:
    """Show a table's largest rows with a total that counts all rows (see `table_html`, which takes `more`)."""
    if data is None:
        return
    display(HTML(table_html(data, columns, top=top, id=id, **more)))


def figures(*items: tuple[str, str, str]) -> str:
    """Key figures as a row of cards: (what, figure, remark), all escaped here."""
    cards = "".join(
        f"<div><dt>{safe(what)}</dt><dd>{safe(figure)}</dd>{f'<dd class=note>{safe(remark)}</dd>' if remark else ''}</div>"
        for what, figure, remark in items
    )
    return f'<dl class="figures">{cards}</dl>'


def key_figures(row: Mapping[str, Any], currency: str) -> str:
    """The cards of one published row of a showback table: cost, change, tokens and unit costs with what they are made of."""
    change, before = row.get("change"), row.get("previous_cost")
    moved = ""
    if not is_unknown(change) and not is_unknown(before) and before:
        moved = f"{'+' if change >= 0 else '-'}{percent(abs(change), abs(before))} on the month before"
    calls = "" if is_unknown(row["requests"]) else f"{things(row['requests'], 'request')} counted"
    items = [("Cost", amount(row["cost"], currency), moved)]
    if not is_unknown(row["tokens"]):
        items += [("Tokens", count(row["tokens"]), calls)]
    for name in ("token_cost_per_1m_tokens", "cost_per_1m_tokens", "cost_per_request"):
        if not is_unknown(row.get(name)):
            top, bottom = (row[part] for part in ingredients(name))
            what = heading(ingredients(name)[1])[0].lower()
            what = singular(what) if bottom == 1 else what
            items += [
                (heading(name)[0], rate(row[name], currency), f"{amount(top, currency)} over {count(bottom)} {what}")
            ]
    return figures(*items)


def cards(data: Table) -> None:
    """Show the key figures of a showback table of one row."""
    if len(data):
        display(HTML(key_figures(first_row(data) or {}, data.facts.currency)))


def last_days(frame: pd.DataFrame, days: int, month: str, timezone: str) -> tuple[Any, Any, str]:
    """The rows of a month's last days that hold usage, those of as many days before them, and which days these are.

    Days are whole days of the zone, the newest one included however much of it is there.
    """
    window, start = Window.month(month, timezone), frame["charge_period_start"]
    last = frame["charge_period_end"][(start >= window.start) & (start < window.end)].max()
    tz = zone(timezone)
    newest = (window.end if is_unknown(last) else min(window.end, last.to_pydatetime())) - dt.timedelta(microseconds=1)
    after_it = newest.astimezone(tz).date() + dt.timedelta(days=1)
    cuts = [instant(after_it - dt.timedelta(days=days * i), timezone) for i in (0, 1, 2)]
    spans = [(cuts[1], cuts[0]), (cuts[2], cuts[1])]
    after, before = (frame[(start >= first) & (start < last)] for first, last in spans)
    return after, before, " against ".join(_span(Window(*span), timezone) for span in spans)


def _span(window: Window, timezone: str) -> str:
    """The days of a window, the last one included."""
    return f"{day_text(window.start, zone(timezone), whole=False)} to {day_text(window.end, zone(timezone))}"


def change_of(before: pd.DataFrame, after: pd.DataFrame, by: Sequence[str] = ()) -> Explanation | None:
    """What changed the cost from some rows to others (see `fa.explain`); None where a period holds nothing to compare."""
    from finops_ai.tables import explain

    return explain(before, after, by) if len(before) and len(after) else None


def bridge(data: Table | None, names: tuple[str, str], title: str, lead: str = "") -> None:
    """Show what changed the cost as a waterfall, with the same in words below; nothing where nothing compares.

    Args:
        data: what `change_of` returns for the whole (one row).
        names: what the two periods are called.
        title: what the chart says.
        lead: what stands above it.
    """
    if data is None or not len(data):
        return
    if lead:
        display(HTML(f"<p>{safe(lead)}</p>"))
    row, steps = data.published().iloc[0], list(data.columns[list(data.columns).index("change") + 1 :])
    shown = [(s.replace("_", " ").capitalize(), row[s]) for s in steps if not is_unknown(row[s]) and row[s]]
    currency = data.facts.currency
    ends = (names[0], row["before"]), (names[1], row["after"])
    whole = f"{names[0]}: {row['before']:,} {currency}, {names[1]}: {row['after']:,} {currency}"
    alt = f"{title}. {whole}. " + ", ".join(f"{name} {value:+,}" for name, value in shown)
    charts.show(charts.bridge(shown, ends=ends, currency=currency, title=title), alt)
    display(HTML("".join(f"<p>{safe(text)}</p>" for text in data.facts.notes)))


def drivers(
    data: Explanation | None,
    top: int = 8,
    words: Mapping[str, str] | None = None,
    *,
    period: str = "",
    called: tuple[str, str] = ("What carries the change", "Amount"),
) -> None:
    """Show who did what: the drivers of a change, largest first, what is left, and the whole change below.

    Args:
        data: what `change_of` returns for the whole (one row); None is said.
        top: drivers told apart.
        words: names that are no owner -> what they are called.
        period: which days are compared.
        called: headings.
    """
    if data is None or not len(data):
        note("There is nothing before it to compare with.")
        return
    found = data.drivers(top).published().astype(object)
    shown, currency = data.published().iloc[0], data.facts.currency
    rest = shown["change"] - sum(found["amount"], Decimal(0))
    said = [
        sentence.replace(f"{who} ", f"{words[str(who)]} ", 1) if words and str(who) in words else sentence
        for who, sentence in zip(found["who"], found["sentence"], strict=True)
    ]
    rows = [[text.rpartition(": ")[0], f"{value:+,}"] for text, value in zip(said, found["amount"], strict=True)]
    rows += [["All else", f"{rest:+,}"]] if rest else []
    foot = ["Change", f"{shown['change']:+,}"]
    about = "Parts of one change, which don’t overlap: a new model’s includes the longer prompts and answers that came with it."
    caption = f"Amounts in {currency}" + (f", {period}" if period else "")
    table = grid(called, rows, texts=1, foot=foot, caption=caption)
    display(HTML(f'{table}<p class="note">{safe(about)}</p>'))


def daily_alt(daily: pd.DataFrame, by: str) -> str:
    """Alternative text of a chart of cost per day."""
    currency, sums = daily.facts.currency, _sums(daily, "day")
    days = things(len(sums), "day")
    if not sums:
        return "No cost in this period."
    if all(is_unknown(cost) for cost in daily["cost"]):
        return f"No cost per day by {named(by)}: no price is known for what was used on {days}."
    peak = max(sums, key=lambda day: sums[day])
    return (
        f"Stacked columns of cost per day by {named(by)}, {days}, mean {brief(sum(sums.values()) / len(sums), currency)} {currency}, "
        f"highest {brief(sums[peak], currency)} {currency} on {peak}. The figures are in the table below."
    )


def ranked_alt(data: Table, name: str) -> str:
    """Alternative text of ranked bars."""
    shown = data.published()
    rows = [
        f"{label(n)} {brief(c, data.facts.currency)} {data.facts.currency}"
        for n, c in zip(shown[name], shown["cost"], strict=True)
        if not is_unknown(n) and not is_unknown(c)
    ]
    return f"Bars of cost by {named(name)}, largest first: {'; '.join(rows[:3])}. The figures are in the table below."


def monthly_alt(data: Table, by: str) -> str:
    """Alternative text of columns per month."""
    currency, sums = data.facts.currency, _sums(data, "month")
    if not sums:
        return "No cost in this period."
    first, last = min(sums), max(sums)
    if first == last:
        return f"One column of cost per month by {named(by)}: {brief(sums[last], currency)} {currency} in {month_text(last)}."
    return (
        f"Stacked columns of cost per month by {named(by)}: {brief(sums[first], currency)} {currency} in {month_text(first)}, "
        f"{brief(sums[last], currency)} {currency} in {month_text(last)}."
    )


def _sums(data: pd.DataFrame, time: str) -> dict[str, float]:
    """Cost per day or month, unknown amounts left out; for drawing and describing only."""
    data = charts.shown_of(data)
    sums: dict[str, float] = {}
    for moment, cost in zip(data[time], data["cost"], strict=True):
        sums[str(moment)] = sums.get(str(moment), 0.0) + (0.0 if is_unknown(cost) else float(cost))
    return sums


def calendar_alt(days: Table) -> str:
    """Alternative text of a calendar of days."""
    shown = days.published()
    known = {str(d): float(c) for d, c in zip(shown["day"], shown["cost"], strict=True) if not is_unknown(c)}
    if not known:
        return "No cost in this period."
    dearest = sorted(known, key=lambda d: -known[d])[:3]
    said = ", ".join(f"{d} with {brief(known[d], days.facts.currency)} {days.facts.currency}" for d in dearest)
    return f"Calendar of {things(len(known), 'day')}; the dearest {'were' if len(dearest) > 1 else 'was'} {said}."


def lines_alt(data: pd.DataFrame, by: str, value: str) -> str:
    """Alternative text of lines over months: each figure of the newest month that has any, in the order of the rows."""
    known = [r for r in zip(data["month"], data[by], data[value], strict=True) if not is_unknown(r[2])]
    if not known:
        return "No figures in this period."
    newest = max(str(month) for month, _, _ in known)
    ends = ", ".join(
        f"{label(name)} {read(figure, 'unit', 4) if abs(figure) >= Decimal('0.001') else rate(figure, '').strip()} {data.facts.currency}"
        for month, name, figure in known
        if str(month) == newest
    )
    what = heading(value)[0]
    return f"Lines of {what[:1].lower()}{what[1:]} by {named(by)}; in {month_text(newest)}: {ends}."


def names_of(history: pd.DataFrame, by: str) -> list[str]:
    """Every name of a column in the whole history, so that charts give each one colour on every page."""
    return sorted({label(name) for name in history[by].unique()})


def told_apart(frame: pd.DataFrame, column: str) -> bool:
    """Whether a column's values are told apart; says so where a very large month's cube leaves them out.

    Args:
        frame: a workspace's cube or history.
        column: what a part of the page groups by.
    """
    if column not in left_out_of(frame):
        return True
    note(
        f"By {named(column)} this month has more rows than [engine] cells of finops.toml allows, so it is not told apart here: "
        f"`finops-ai showback --by {column}` adds it up, and a higher setting shows it."
    )
    return False


#: what is told of each prompt, by what the page asks
SPENT = ("cost", "previous_cost", "change", "tokens", "requests", "cost_per_request")
PER_CALL = ("cost", "requests", "cost_per_request", "cache_hit_rate", "output_input_ratio")


def prompts(
    data: Table,
    columns: Sequence[str] = SPENT,
    *,
    top: int = 12,
    whole: Table | None = None,
    trends: Mapping[str, Any] | None = None,
) -> None:
    """Show the dearest prompts as ranked bars and as a table, and say how much cost names its prompt.

    Args:
        data: showback by `prompt_id`.
        columns: measures of the table.
        top: prompts told apart.
        whole: showback of everything, one row, for the total's unit costs.
        trends: prompt -> cost per month (see `finops_ai.reporting.pages.monthly`).
    """
    shown = data.published()
    costs = {label(n): c for n, c in zip(shown["prompt_id"], shown["cost"], strict=True) if not is_unknown(c)}
    total = sum(costs.values(), Decimal(0))
    told = total - costs.get(label(None), Decimal(0))
    if data["prompt_id"].isna().all():
        note("No source names a prompt: a gateway, a log or a trace that carries the template's name would.")
        return
    note(
        f"{percent(told, total)} of cost names its prompt: that of calls seen by a gateway, a log or a trace that carries its name."
    )
    figure = charts.ranked_bars(data, "prompt_id", currency=data.facts.currency, title="Cost by prompt", top=top)
    charts.show(figure, ranked_alt(data, "prompt_id"))
    nobody = {label(None): "no prompt captured"}
    table(data, columns, top=top, whole=first_row(whole), trends=trends, apart=nobody)


def first_row(data: Table | None) -> dict[str, Any] | None:
    """The row of a table of one row, as `table_html` takes it for its total; None without one."""
    return None if data is None or not len(data) else dict(data.published().iloc[0])


def together(data: Table, keys: Sequence[str]) -> Any:
    """Rows that share some columns next to each other, the dearest family first, so that channels compare."""
    sums: dict[tuple[Any, ...], Decimal] = {}
    groups = list(zip(*(data[k].map(label) for k in keys), strict=True))
    for group, cost in zip(groups, data["cost"], strict=True):
        sums[group] = sums.get(group, Decimal(0)) + (Decimal(0) if is_unknown(cost) else cost)
    order = sorted(range(len(data)), key=lambda i: (-sums[groups[i]], groups[i], i))
    return data.iloc[order]


def unit_sentence(data: Table, month: str) -> None:
    """Say what a million tokens and a request cost, and how that changed since the month before."""
    rows = {str(m): row for m, row in zip(data["month"], data.to_dict("records"), strict=True)}
    own, earlier = rows.get(month), rows.get(month_before(month))
    name = "token_cost_per_1m_tokens"
    if own is None or is_unknown(own[name]):
        say(f"No priced tokens were used in {safe(month_text(month))}.")
        return
    currency = data.facts.currency
    text = f"In {safe(month_text(month))} the tokens themselves cost <strong>{rate(own[name], currency)}</strong> a million"
    if earlier and not is_unknown(earlier[name]) and earlier[name]:
        change = own[name] - earlier[name]
        text += f", {percent(abs(change), earlier[name])} {'more' if change >= 0 else 'less'} than the month before"
    text += f"; with capacity, searches and fees it was {rate(own['cost_per_1m_tokens'], currency)}"
    if not is_unknown(own["cost_per_request"]):
        text += f". A request cost {rate(own['cost_per_request'], currency)}, where requests are counted"
    say(text + ".")


def reconcile_sentence(data: Table, month: str) -> None:
    """Say how computed cost and the bill compare."""
    if not len(data):
        say(f"There is neither usage nor a bill for {safe(month_text(month))}.")
        return
    shown = data.published()
    computed, billed = (sum((v for v in shown[c] if not is_unknown(v)), Decimal(0)) for c in ("computed", "billed"))
    currency = data.facts.currency or "in several currencies"
    captured = data.facts.coverage.get("captured")
    if not any(not is_unknown(v) and v for v in shown["billed"]):
        say(
            f"There is <strong>no bill</strong> for {safe(month_text(month))} yet; its usage computes to {amount(computed, currency)}."
        )
        return
    text = f"{safe(month_text(month))} was billed <strong>{amount(billed, currency)}</strong>; its usage computes to {amount(computed, currency)}"
    if billed == computed:
        text += ", the same to the cent"
    elif billed > 0:
        text += f", {percent(abs(billed - computed), billed)} {'less' if computed < billed else 'more'}"
    say(text + (f". Usage rows explain {percent(captured)} of the billed usage." if captured is not None else "."))


def by_account(data: Table) -> None:
    """Show what was computed and billed by account; without a bill there is nothing to differ from."""
    shown = data.drop(columns=["currency", "month"])
    if data["billed"].isna().all():
        columns = ["computed", "billed"]
    else:
        columns = ["computed", "billed", "difference", "billed_usage", "missing_usage", "captured"]
        bare = (shown["billed"].isna() & shown["computed"].isna()).to_numpy(bool)
        shown.loc[bare, ["difference", "missing_usage"]] = None
    table(shown, columns, top=40, whole=data.facts.coverage)


def causes(data: Table) -> None:
    """Show what the difference between bill and computed cost is made of, in words and amounts."""
    from finops_ai.tables.reconcile import CAUSES, Reconciliation

    if data["billed"].isna().all():
        note("There is no bill to compare with.")
        return
    totals = {name: sum((v for v in data[name] if not is_unknown(v)), Decimal(0)) for name in CAUSES if name in data}
    rows = [(name, value) for name, value in totals.items() if published(value, data.facts.currency or "USD")]
    if not rows:
        note("They agree to the cent.")
        return
    guesses = data.guesses() if isinstance(data, Reconciliation) else {}
    lines = [
        (
            name.replace("_", " ").capitalize(),
            f"{CAUSES[name][0]} {guesses.get(name, '')}".strip(),
            written(value, data.facts.currency, "+"),
        )
        for name, value in sorted(rows, key=lambda row: -abs(row[1]))
    ]
    caption = f"Amounts in {data.facts.currency or 'the currencies of the bills'}"
    display(HTML(grid(["Cause", "What it is", "Amount"], lines, texts=2, caption=caption)))


def unpriced(priced: pd.DataFrame, top: int = 40) -> None:
    """Show the models and meters whose price isn't known, with their quantities."""
    rows = priced[priced["price_status"] == "unpriced"]
    sums: dict[tuple[str, str, str, str], Decimal] = {}
    for *key, quantity in zip(
        rows["provider"], rows["model"], rows["meter"], rows["unit"], rows["quantity"], strict=True
    ):
        sums[tuple(key)] = sums.get(tuple(key), Decimal(0)) + quantity
    if not sums:
        note("Everything has a price.")
        return
    order = sorted(sums.items(), key=lambda item: -item[1])
    lines = [(*names, f"{quantity:,.0f}") for names, quantity in order[:top]]
    caption = "Usage without a known price" + (f", the largest {top} of {len(order):,}" if len(order) > top else "")
    display(HTML(grid(["Provider", "Model", "Meter", "Unit", "Quantity"], lines, texts=4, caption=caption)))


def kinds_of_tokens(priced: pd.DataFrame) -> None:
    """Show, meter by meter, how much was used, what it cost and what a million of it cost on average."""
    from finops_ai.meters import meters
    from finops_ai.tables import showback

    data = showback(priced, by=["meter"])
    currency = data.facts.currency
    rows = []
    shown = data.published()
    for meter, cost, each in zip(shown["meter"], shown["cost"], shown["token_cost_per_1m_tokens"], strict=True):
        kind, quantity = meters()[meter], sum(priced.loc[priced["meter"] == meter, "quantity"], Decimal(0))
        used = f"{count(quantity)} {kind.unit}"
        rows.append([meter, kind.description, used, money(cost, currency), rate(each, "").strip()])
    heads = ["Meter", "What it counts", "Used", "Cost", "Per 1M tokens"]
    display(HTML(grid(heads, rows, texts=2, caption=f"Amounts in {data.facts.currency}")))
