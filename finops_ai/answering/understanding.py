"""From words to a question: a small grammar over the columns, names and times that the workspace knows.

    question  = what  { by columns | for names | time | against time | top N | changes (see `supposing`) }
    what      = who spent | what was MEASURE | how much | why ... | does it tie | incidents | budgets | forecast | where can we save
                | what if | price of MODEL with N input tokens ... | why is ... charged | how fresh is the data | kpis | what is WORD
    names     = VALUE | COLUMN VALUE | "any name in quotes"
    time      = in October | in 2026-10 | last week | last 14 days | since 2026-10-05 | from A to B | Q3 2026

Nothing is guessed in silence: a word that has no place in it makes the question unclear, and the nearest names are told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from finops_ai.answering.known import cut, grammar, plain
from finops_ai.answering.question import Question, Span, quoted
from finops_ai.answering.spans import FIND_AFTER, FIND_ONE, FIND_RANGE, FIND_UNTIL, Clock
from finops_ai.answering.supposing import ASKED, MAY, SAID, suppositions
from finops_ai.answering.unanswerable import unanswerable
from finops_ai.errors import SettingsError
from finops_ai.figures import catalogue
from finops_ai.periods import MONTHS
from finops_ai.tables.grouping import NOBODY, TIMES

if TYPE_CHECKING:
    from finops_ai.answering.known import Known

#: longest question that is read, in signs
LONGEST = 600
#: most rows that are shown, and most tokens of a call whose price is asked
_MOST_ROWS, _MOST_TOKENS = 9_999, 10**12
#: what is asked, by the first pattern that is found; the found words have been read then
WHAT = (
    ("price", r"\b(?:price|prices|pricing|rate|rates) (?:of|for)\b|\bwhat (?:does|would|do) (?:a |one )?(?:calls?|requests?)\b(?: (?:to|of|with|cost))*|\bhow much (?:is|does|would) (?:a |one )?(?:call|request)\b(?: (?:to|of|with|cost))*|\b(?:how much|what) (?:is|does|do|would|will)\b(?=.*\d ?[km]? (?:input|output|prompt|completion|cached)\b)"),
    ("rules", r"\bwhy (?:is|are|was|were)\b(?=.*\b(?:charged|mapped|allocated|assigned|attributed|unallocated)\b)|\b(?:which|what) rules?\b(?! cost| spen)|\brules? why\b|\bwhy rules?\b"),
    ("tie", r"\bunexplained (?:differences?|costs?|amounts?)\b|\b(?:does|do|did|will)? ?(?:it|they|the bills?|the invoices?|cost|costs)? ?(?:ties?|tied|reconciles?|reconciled|reconcile|reconciliation)\b(?: to the (?:bill|invoice)s?)?|\bagrees? with the (?:bill|invoice)s?|\bmatch(?:es)? (?:with )?(?:the |our )?(?:bill|invoice)s?|\b(?:bill|invoice)s? (?:match|agree)(?:es|s)?\b|\b(?:is|are|was|were) (?:the |our )?(?:bill|invoice)s? (?:right|correct)\b"),
    ("incidents", r"\bwhat incidents are there\b|\bincidents?\b|\banomal(?:y|ies)\b|\b(?:any|some)thing (?:unusual|odd|strange|wrong|weird|off|suspicious)\b|\bout of the ordinary\b|\bunusual\b|\bwhat (?:has )?happened\b|\bspikes?\b|\balerts?\b"),
    ("budgets", r"\bhow (?:are|is) (?:the|our|we on) budgets?\b|\b(?:over|within|on|under|left of|left in) (?:the |our )?budgets?\b|\bbudgets?\b(?: left)?|\bwhat is left\b|\b(?:blow|exceed|break|bust)(?:s|ing)? (?:the |our )?budgets?\b"),
    ("forecast", r"\bforecasts?\b|\bplan\b|\bpredict(?:ion|ed)?\b|\bproject(?:ion|ed)\b|\bwhat will\b|\bhow much will\b|\boutlook\b|\byear end\b"),
    ("save", r"\bwhere can we save\b|\bsave\b|\bsavings?\b|\brecommend(?:ation|ations)?\b|\bopportunit(?:y|ies)\b|\bcheaper\b|\bwaste[ds]?\b|\b(?:cut|reduce|lower|bring down) (?:the |our )?(?:costs?|spend(?:ing)?|bills?)\b|^idle capacity\b|\b(?:any|have|there|avoid|reduce) idle capacity\b"),
    ("data", r"\bhow (?:fresh|complete|old|current|good) (?:is|are) (?:the|our) (?:data|figures|lake)\b|\bfresh(?:ness)?\b|\bcoverage\b|\bwhat data\b|\bstale\b|\bup to date\b|\bis (?:any|some) data missing\b"),
    ("kpis", r"\bwhat are the kpis\b|\bkpis?\b|\bkey figures\b"),
    ("change", r"\bwhy\b|\bwhat (?:changed|drove|drives|is driving|caused|explains)\b|\bexplain\b|\breasons?\b"),
    ("glossary", r"^(?:define|meaning of|definition of|what does (?=.* mean))|^what (?:is|are) (?:an? |the )?(?:meaning of )?"),
    ("spending", r"\bwho (?:spent|spends|spend|caused|causes|used|uses|costs|pays|is|has|had)\b|\bwho\b|\bhow (?:much|many)\b|\bwhat (?:was|were|did|does|do|has|have|had)\b|\bwhich\b|\bwhat\b|\bshow(?: me)?\b|\blist\b|\bcosts?\b|\bspend(?:ing)?\b|\bspent\b|\busage\b"),
)  # fmt: skip
_WORDS = grammar()
FILLERS, BLANK, _NEGATIONS, _LEADS = (
    frozenset(str(_WORDS[part]).split()) for part in ("fillers", "blank", "negations", "leads")
)
_METERS: dict[str, str] = _WORDS["meters"]
_MEASURES: dict[str, str] = _WORDS["measures"]
_CURRENCIES: dict[str, str] = _WORDS["currencies"]
_QUOTED = re.compile(r'"([^"]{0,200})"|“([^”]{0,200})”|(?<!\w)\'([^\']{1,200})\'(?!\w)')
_AGAINST = r"\b(?:against|vs\.?|versus|compared (?:with|to)|relative to|than(?: in| the| during)?|instead of)\s+"

#: words that ask for a change where nothing else does
_MOVED = re.compile(
    r"\b(?:grew|grown|grows?|growing|growth|rose|risen|rises?|rising|increas(?:e[ds]?|ing)|decreas(?:e[ds]?|ing)|fell|fallen|falls?|falling|"
    r"dropp?(?:s|ed|ing)?|declin(?:e[ds]?|ing)|(?:go|went|gone|going) (?:up|down)|got (?:more|less) expensive)\b"
)
#: words that set names against each other
_BETWEEN = re.compile(r"\b(?:than|vs\.?|versus|compared?|comparison|differences?|between)\b")
#: what `_times` takes for a comparison, and for one time right after the other
_COMPARED = re.compile(r"compare (.+?) (?:to|with|against|vs\.?|versus) (?:the )?(.+)$")


class Unclear(SettingsError):
    """A question with words that have no place in it; `words` are these, the message names the nearest that are known."""

    def __init__(self, message: str, words: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.words = words


@dataclass
class _Found:
    """What has been read of a question so far."""

    kind: str
    by: list[str] = field(default_factory=list)
    only: list[tuple[str, str]] = field(default_factory=list)
    measure: str = "cost"
    changes: tuple[tuple[str, str], ...] = ()
    remarks: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)


def understand(text: str, known: Known) -> Question:
    """Read a question.

    Args:
        text: in words, see the module.
        known: the workspace it is asked of.

    Raises:
        Unclear: words have no place in it; says which, and the nearest names.
    """
    if len(text) > LONGEST:
        raise Unclear(f"A question has at most {LONGEST} signs; this one has {len(text):,}. Ask one thing at a time.")
    names: list[str] = []

    def keep(match: re.Match[str]) -> str:
        names.append(next(part for part in match.groups() if part is not None))
        return f" \x01{len(names) - 1}\x01 "

    rest = " ".join(_QUOTED.sub(keep, text.replace("\x01", " ")).lower().split()).rstrip("?!. ")
    rest = re.sub(r"\b(what|who|where|how|that|there|it)['’]s\b|\b(what|who|where|how)s\b", r"\1\2 is", rest)
    rest = re.sub(r"\bytd\b", "year to date", rest)
    if (pair := _COMPARED.match(rest)) and FIND_ONE.match(pair[2]):
        rest = f"{pair[1]} against {pair[2]}"
    if not rest.strip("\x01 0123456789"):
        raise Unclear(f"There is no question in {cut(text)!r}. {_ways()}")
    top, rest = _top(rest)
    changes, rest = _supposed(rest, names, known)
    said = rest
    kind, rest, measure = ("whatif", rest, "cost") if changes is not None else _kind(rest)
    if kind == "spending" and any(
        plain(m[0]) not in known.values for m in _MOVED.finditer(said)
    ):  # a team may be growth
        kind = "change"
    if kind == "glossary":
        from finops_ai.answering import words

        term = re.sub(r"^(?:an? |the )|(?: mean| stand for)$", "", _unquoted(rest, names).strip())
        if words.find(term, known) is not None:
            return Question("glossary", term=words.find(term, known) or term)
        kind = "spending"
    tokens, rest = _tokens(rest) if kind == "price" else ({}, rest)
    if kind == "forecast":
        rest = re.sub(r"\b(?:until|till|through|up to|by|to)(?: the)? (?:year end|end of(?: the)? year)\b", " ", rest)
        rest = re.sub(r"\b(?:until|till|through|up to)\b", " ", rest)
    clock = replace(known.clock, ahead=True) if kind == "forecast" else known.clock
    against, period, rest = _times(rest, clock, pairs=kind == "change" or said.startswith("compare"))
    found = _Found(kind, measure=measure, changes=changes or ())
    _words(rest, names, found, known)
    if found.unclear:
        raise Unclear(_nearest(found.unclear, known), tuple(found.unclear))
    own = known.ws.settings.workspace.currency
    if other := next((c for c in found.currencies if c != own), None):
        raise Unclear(f"Amounts are in {own}, the currency of the workspace; they can't be asked for in {other}.")
    if found.kind == "spending" and _BETWEEN.search(said):
        _beside(found)
    if found.kind == "spending" and against is not None:
        found.kind = "change"
    if no := unanswerable(said, found.kind, found.measure, found.by):
        raise Unclear(no)
    return _question(found, period, against, top, tokens, known)


def _beside(found: _Found) -> None:
    """Names of one column that are set against each other: each has its row."""
    columns = [column for column, _ in found.only]
    several = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    found.by += [column for column in several if column not in found.by]
    if several and found.measure == "difference":
        found.measure = "cost"


def _question(
    found: _Found, period: Span | None, against: Span | None, top: int, tokens: dict[str, int], known: Known
) -> Question:
    kind, term, only = found.kind, "", found.only
    if kind == "price":
        models = [v for c, v in only if c in ("model", "model_family")]
        if len(models) != 1:
            raise Unclear('Which model? Ask, for example: price of "gpt-5.4" with 1000 input and 200 output tokens.')
        term, only = models[0], [(c, v) for c, v in only if c == "provider"]
    elif kind == "spending" and not found.by and not only:
        found.by = list(known.ws.rules.dimensions[:1]) or ["provider"]
    elif kind == "rules" and not only:
        raise Unclear("Which charge? Name it, for example: why is team search charged.")
    if kind in ("tie", "incidents", "budgets", "kpis", "save") and found.by:
        found.remarks.append(f"Answered as a whole, not by {', '.join(found.by)}.")
        found.by = []
    months = known.clock.months
    if period is None and kind == "spending" and "month" in found.by and months:
        period = known.clock.range_of(
            Span.of_month(months[0], known.timezone), Span.of_month(months[-1], known.timezone)
        )
    if period is None and kind not in ("forecast", "glossary", "price"):
        period = known.clock.default()
    if kind == "change" and against is None and period is not None:
        against = known.clock.before(period)
    return Question(
        kind, tuple(dict.fromkeys(found.by)), tuple(dict.fromkeys(only)), period, against, found.measure, top, term,
        tokens, found.changes, tuple(found.remarks),
    )  # fmt: skip


def _supposed(text: str, names: list[str], known: Known) -> tuple[tuple[tuple[str, str], ...] | None, str]:
    """What a question supposes to be otherwise, None where it supposes nothing, and the text without it."""
    asked = ASKED.search(text)
    if not asked and (not MAY.search(text) or re.search(WHAT[0][1], text)):
        return None, text
    changes, rest = suppositions(text, names, known)
    if not changes and not asked:
        return None, text
    return changes, SAID.sub(" ", ASKED.sub(" ", rest))


def _kind(text: str) -> tuple[str, str, str]:
    """What is asked, the text without the words that say so, and the measure that several words name."""
    found = next(((kind, pattern) for kind, pattern in WHAT if re.search(pattern, text)), ("spending", r"(?!)"))
    kind, pattern = found
    measure = "cost"
    if kind == "spending" and (named := _measure_names().search(text)):
        measure = _measures()[plain(named[0])]
        text = text[: named.start()] + " " + text[named.end() :]
    match = re.search(pattern, text)
    left = text if match is None else text[: match.start()] + " " + text[match.end() :]
    return kind, left.strip(), measure


@cache
def _measure_names() -> re.Pattern[str]:
    """Measures whose names are several words, the longest first."""
    owners = {plain(words) for words in NOBODY.values()}  # idle capacity has a cost as anybody has
    names = sorted((name for name in _measures() if " " in name and name not in owners), key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(n).replace(r"\ ", r"[\s_-]+") for n in names) + r")(?!\w)")


def _top(text: str) -> tuple[int, str]:
    match = re.search(
        r"\b(?:top|first|largest|biggest)\s+(\d{1,9})\b|\b(\d{1,9})\s+(?:largest|biggest|dearest)\b", text
    )
    if not match:
        return 10, text
    return min(max(int(match[1] or match[2]), 1), _MOST_ROWS), text[: match.start()] + " " + text[match.end() :]


def _tokens(text: str) -> tuple[dict[str, int], str]:
    """Meters and quantities of the call whose price is asked."""
    out: dict[str, int] = {}

    def take(match: re.Match[str]) -> str:
        number = float(match[1].replace(",", "").replace("_", "")) * {"k": 1e3, "m": 1e6}.get(match[2] or "", 1)
        if number > _MOST_TOKENS:
            raise Unclear(f"A call has at most {_MOST_TOKENS:,} tokens of a kind, not {cut(match[1], 30)}.")
        out[_METERS[match[3]]] = out.get(_METERS[match[3]], 0) + round(number)
        return " "

    meters = "|".join(sorted(map(re.escape, _METERS), key=len, reverse=True))
    return out, re.sub(
        rf"(?:\bwith\s+|\band\s+|,\s*)?\b(\d[\d,_.]*)\s*([km])?\s+({meters})(?:\s+tokens?)?\b", take, text
    )


def _times(text: str, clock: Clock, *, pairs: bool) -> tuple[Span | None, Span | None, str]:
    """The time asked about, the one compared with, and the text without them; `pairs` = two months are compared, not added up."""
    against = None
    if match := re.search(_AGAINST, text):
        after = text[match.end() :]
        after = re.sub(r"^(?:in|the)\s+", "", after)
        found = FIND_RANGE.match(after) or FIND_ONE.match(after)
        if found is not None:
            against = clock.range(found) if found.re is FIND_RANGE else clock.one(found["one"])
            text = text[: match.start()] + " " + after[found.end() :]
        elif re.match(r"(?:usual|normal|before|expected)\b", after):
            text = text[: match.start()] + " " + re.sub(r"^\w+", "", after)
    spans: list[Span] = []
    if several := clock.listed(text):
        spans.append(several[0])
        text = several[1]
    elif match := FIND_RANGE.search(text):
        if pairs and against is None and (both := clock.ends(match)):
            against, span = both
        else:
            span = clock.range(match)
        spans.append(span)
        text = text[: match.start()] + " " + text[match.end() :]
    elif match := FIND_AFTER.search(text):
        spans.append(clock.after(match))
        text = text[: match.start()] + " " + text[match.end() :]
    elif match := FIND_UNTIL.search(text):
        raise Unclear(f"When does it begin? Write, for example, 'from {clock.last.replace(day=1)} to {clock.last}'.")
    while True:
        match = next((m for m in FIND_ONE.finditer(text) if not _modal(m, text)), None)
        if match is None:
            break
        spans.append(clock.one(match["one"]))
        text = text[: match.start()] + " " + text[match.end() :]
    if len(spans) > 2 or (len(spans) == 2 and against is not None):
        raise Unclear("Too many times in one question: name one, and one to compare with ('against').")
    if len(spans) == 2:  # "October and September": the later one against the earlier
        spans.sort(key=lambda s: s.window, reverse=True)
        against = spans[1]
    return against, spans[0] if spans else None, text


def _modal(match: re.Match[str], text: str) -> bool:
    """Whether "may" or "march" is a verb here: it stands alone and follows no word that leads to a time."""
    if match["one"] not in ("may", "march", "mar"):
        return False
    return not re.search(r"(?:\b(?:in|of|for|during|since|from|to|until|by)|^)\s*$", text[: match.start()])


def _words(text: str, names: list[str], found: _Found, known: Known) -> None:
    """Read columns, names and measures, longest first; what is left is unclear."""
    words = [w for w in re.split(r"[\s,;?()]+", text) if w]
    at, grouping, column, led = 0, False, "", False
    while at < len(words):
        word = words[at]
        if match := re.fullmatch(r"\x01(\d+)\x01", word):
            _take_name(names[int(match[1])], column, found, known)
            at, column, led = at + 1, "", False
            continue
        if word in ("by", "per", "each", "across", "every"):
            if word == "per" and at and (read := _measure(words, at - 1, found)) > 1:  # it ends beyond this word
                at += read - 1
            else:
                grouping, at = True, at + 1
            continue
        if (currency := _CURRENCIES.get(word)) is not None:
            found.currencies.append(currency)
            at += 1
            continue
        if word in _NEGATIONS:
            found.unclear.append(word)
            at += 1
            continue
        taken = _column(words, at, known)
        name = _value(words, at, known, column)
        if name and not column and all(c == "meter" for c, _ in name[1]) and _measured(words, at)[0] >= name[0]:
            name = None  # tokens and requests are measures before they are meters
        if name and _is_name(name, taken[0] if taken else 1, word, bool(column) or led, known):
            size, pairs = name
            _take(pairs, column, found)
            at, column, led, grouping = at + size, "", False, False
            continue
        if taken:
            if column:
                found.by.append(column)
            column = taken[1]
            at += taken[0]
            if grouping or column in TIMES:
                found.by.append(column)
                column = ""
            continue
        if (read := _measure(words, at, found)) > 0:
            at += read
            continue
        if word in FILLERS or word in BLANK or word in _LEADS:
            if column and word not in ("called", "named"):
                found.by.append(column)
                column = ""
            led = word in _LEADS or (led and word in ("the", "team"))
            if word != "and" and word not in ("the", "a", "an"):
                grouping = False
        elif word in ("'s", "’s"):  # of a time that was read
            pass
        elif found.kind == "price" and known.in_book(word):
            found.only.append(("model", word))
        else:
            found.unclear.append(word)
        at += 1
    if column:
        found.by.append(column)


def _is_name(name: tuple[int, list[tuple[str, str]]], longer: int, word: str, led: bool, known: Known) -> bool:
    """Whether a word that is a name is one here: function words are not, unless something leads to a name."""
    size, pairs = name
    if size == 1 and not led:
        if word in FILLERS:
            return False
        if word in BLANK:
            return pairs[0][0] in known.ws.rules.dimensions
    return led or size >= longer


def _column(words: list[str], at: int, known: Known) -> tuple[int, str] | None:
    for size in (3, 2, 1):
        text = plain(" ".join(words[at : at + size]))
        if at + size <= len(words) and text in known.columns:
            return size, known.columns[text]
    if words[at].startswith("tags."):
        return 1, words[at]
    return None


def _value(words: list[str], at: int, known: Known, column: str) -> tuple[int, list[tuple[str, str]]] | None:
    if column.startswith("tags."):
        return 1, [(column, words[at])]
    for size in range(min(8, len(words) - at), 0, -1):
        pairs = known.values.get(plain(" ".join(words[at : at + size]).removesuffix("'s")), [])
        pairs = [(c, v) for c, v in pairs if not column or c == column or column in _like(c)]
        if pairs:
            return size, pairs
    return None


def _like(column: str) -> tuple[str, ...]:
    """Columns whose word may stand for this one: a project is named by its name or its id."""
    return {"sub_account_id": ("sub_account_name",), "model_family": ("model",), "model_developer": ("provider",)}.get(
        column, ()
    )


def _take(pairs: list[tuple[str, str]], column: str, found: _Found) -> None:
    """A name that was found; where it is a name in several columns, the first is taken and that is said."""
    exact = [pair for pair in pairs if pair[0] == column] or pairs
    values = {v for c, v in exact if c == exact[0][0]}
    for value in sorted(values):
        found.only.append((exact[0][0], value))
    others = sorted({c for c, _ in exact} - {exact[0][0]})
    if others and not column:
        other = next(v for c, v in exact if c == others[0])
        found.remarks.append(
            f"{cut(exact[0][1])} is read as {exact[0][0]}; it is a {' and a '.join(others)}, too: write '{others[0]} {quoted(other)}' for that."
        )


def _take_name(name: str, column: str, found: _Found, known: Known) -> None:
    if column:
        found.only.append((column, known.value(column, name)))
        return
    pairs = known.values.get(plain(name), [])
    exact = [pair for pair in pairs if pair[1] == name] or pairs
    if exact:
        _take(exact, "", found)
    elif found.kind == "price" and known.in_book(name):
        found.only.append(("model", name))
    else:
        found.unclear.append(name)


def _measured(words: list[str], at: int) -> tuple[int, str]:
    """How many words from here name a measure, and which."""
    for size in range(min(5, len(words) - at), 0, -1):
        text = plain(" ".join(words[at : at + size]))
        if text in _measures() and not (size == 1 and text in ("cost", "change", "price", "spent")):
            return size, _measures()[text]
    return 0, ""


def _measure(words: list[str], at: int, found: _Found) -> int:
    size, name = _measured(words, at) if at >= 0 else (0, "")
    found.measure = name or found.measure
    return size


@cache
def _measures() -> dict[str, str]:
    known = list(catalogue().values())
    return {plain(m.label): m.id for m in known} | {plain(m.id): m.id for m in known} | _MEASURES


def _unquoted(text: str, names: list[str]) -> str:
    return re.sub(r"\x01(\d+)\x01", lambda m: names[int(m[1])], text)


def _nearest(words: list[str], known: Known) -> str:
    """Which words have no place, and for each the names that are near."""
    import difflib

    if any(word in _NEGATIONS for word in words):
        return f"Leaving something out ({', '.join(sorted(set(words) & _NEGATIONS))}) can't be asked for: name what is meant, or ask 'by' the column and read its rows."
    pool: dict[str, str] = {word: f"the column {name}" for word, name in known.columns.items()}
    for text, pairs in known.values.items():
        pool.setdefault(text, f"the {pairs[0][0]} {cut(pairs[0][1])}")
    pool |= {plain(m.id): f"the measure {m.id}" for m in catalogue().values()}
    pool |= {word: f"the word {word}" for word in _WORDS["asking"].split()} | {
        m.lower(): f"the month {m}" for m in MONTHS
    }
    whole = " ".join(words)  # a name of several words, misspelt
    if len(words) > 1 and (near := difflib.get_close_matches(plain(whole)[:80], list(pool), n=3, cutoff=0.8)):
        told = list(dict.fromkeys(pool[name] for name in near))
        return f"Not understood: {cut(whole)!r} (did you mean {' or '.join(told)}?). {_ways()}"
    said = []
    for word in dict.fromkeys(words):
        near = difflib.get_close_matches(plain(word)[:80], list(pool), n=3, cutoff=0.7 if len(word) > 4 else 0.6)
        told = list(dict.fromkeys(pool[name] for name in near if name != word))
        said.append(f"{cut(word)!r}" + (f" (did you mean {' or '.join(told)}?)" if told else ""))
    return f"Not understood: {', '.join(said[:6])}. {_ways()}"


def _ways() -> str:
    return "Ask, for example: who spent by team in October; why did the cost change last week; does it tie; forecast by team; what is cost_per_request."
