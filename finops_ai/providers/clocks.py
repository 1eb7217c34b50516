"""Times as people and programs write them, as instants: formats are found out from all values of a column together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.providers.duck import connect

MICROSECONDS = pa.timestamp("us")
#: ways to write a day; the second of a pair reads the same digits with day and month exchanged
DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
    "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%b %d %Y", "%d. %b %Y", "%Y-%b-%d", "%Y %m %d",
    "%Y-%m", "%Y/%m", "%m/%Y", "%m.%Y", "%b %Y",
)  # fmt: skip
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H%M%S", " %H")
#: month, the ways it begins in English, German, French, Spanish, Italian, Portuguese and Dutch
MONTHS = {
    "Jan": r"jan[a-zä]*|jän[a-z]*|ene[a-z]*|gen(?:naio)?",
    "Feb": r"feb[a-z]*|f[ée]v[a-zé]*",
    "Mar": r"mar(?:ch|s|zo|ço|co)?|mär[a-z]*|mrz|maart|mrt",
    "Apr": r"apr[a-z]*|avr[a-z]*|abr[a-z]*",
    "May": r"ma[iy]o?|mag(?:gio)?|mei",
    "Jun": r"jun[a-z]*|juin|giu[a-z]*",
    "Jul": r"jul[a-z]*|juil[a-z]*|lug[a-z]*",
    "Aug": r"aug[a-z]*|ao[uû]t|ago[a-z]*",
    "Sep": r"sep[a-z]*|set[a-z]*",
    "Oct": r"oct[a-z]*|okt[a-z]*|ott[a-z]*|out(?:ubro)?",
    "Nov": r"nov[a-z]*",
    "Dec": r"dec[a-z]*|dez[a-z]*|d[ée]c[a-zé]*|dic[a-z]*",
}
_WEEKDAY = r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|mi[ée]|jue|vie|s[áa]b|dom)[a-zäöüáéí]*\.?,?\s+"
#: offset in minutes of the words used for zones with one meaning
_OFFSET = r"(?i)\s*(?P<offset>(?:UTC|GMT)?[+-]\d{2}:?\d{2}|(?:UTC|GMT)[+-]\d{1,2}|Z|UTC|GMT|[+-]\d{2})$"
#: a zone's name after its offset, as Java and JavaScript write it
_ZONE_NAME = r"\s*(?:\[[A-Za-z_/+-]+\]|\([^()]*\))$"
#: a year after the clock, as Unix writes it
_YEAR_LAST = r"^([A-Za-z]{3} \d{1,2}) (\d\d:\d\d:\d\d)((?: [A-Z]{3,4}| [+-]\d{4})?) (\d{4})$"
#: milliseconds since 1970, as .NET writes them into JSON
DOTNET = r"^\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/$"


class UnreadableTime(Exception):
    """A text no known format reads; `text` is the first such one."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text!r} {why}")
        self.text, self.why = text, why


def day_formats(texts: Sequence[str]) -> list[str]:
    """The ways to write a day that read every one of these texts; more than one where day and month can't be told apart.

    >>> day_formats(["01.10.2026 08:00", "31.10.2026 09:00"]), day_formats(["10/01/2026"]), day_formats(["1. Okt. 2026"])
    (['%d.%m.%Y'], ['%d/%m/%Y', '%m/%d/%Y'], ['%d %b %Y'])
    """
    local = _tidied(pa.chunked_array([pa.array(list(texts), pa.string())]))[0]
    return _whole(_unread(pc.unique(local))) if len(local) else []


def instants_of_text(values: pa.ChunkedArray, format: str = "") -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Wall-clock times of texts in microseconds, and each one's offset from UTC in minutes (null where none is written).

    Args:
        values: texts; none is null.
        format: a day's format as `strptime` writes it ("%d.%m.%Y"), or one with its clock; "" to find out.

    Raises:
        UnreadableTime: a text no format reads, or texts that read as two different days.
    """
    local, micros, minutes = _tidied(values)
    given = bool(format)
    if not given:
        unread = _unread(pc.unique(local))
        formats = _whole(unread)
        if not formats:
            text = _first_unread(values, local, unread)
            raise UnreadableTime(text, "is not a time this reader knows")
        if len(formats) > 1 and _differ(local, formats):
            text = next(iter(values)).as_py()
            raise UnreadableTime(text, f"can be read as {formats[0]!r} and as {formats[1]!r}")
        format = formats[0]
    read = _parsed(local, [format, *(format + clock for clock in CLOCKS[1:])])
    if given and read.null_count:  # the format may describe the text as it stands
        read = _parsed(values, [format, *(format + clock for clock in CLOCKS[1:])])
        micros = pa.chunked_array([pa.nulls(len(values), pa.int64())])
    if read.null_count:
        row = pc.index(read.is_null(), True).as_py()
        raise UnreadableTime(values[row].as_py(), f"doesn't read as {format!r}")
    stamps = pc.add(read.cast(MICROSECONDS).cast(pa.int64()), pc.fill_null(micros, 0)).cast(MICROSECONDS)
    return stamps, minutes


def _tidied(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    """Texts without weekday, fraction and offset, months as English abbreviations; the fraction's microseconds; the offset's minutes."""
    text = pc.utf8_trim_whitespace(values)
    text = pc.replace_substring_regex(text, r"[\s\x{00a0}\x{202f}]+", " ")
    text = pc.replace_substring_regex(text, _WEEKDAY, "")
    text = pc.replace_substring_regex(text, _ZONE_NAME, "")
    text = pc.replace_substring_regex(text, r"(?i)(\d ?)([ap])\.? ?m\.?$", r"\1\2m")
    text = pc.replace_substring_regex(text, r"^(\d{1,2})\. (\d{1,2})\. (\d{4})", r"\1.\2.\3")
    text = pc.replace_substring_regex(text, r"^(\d{4})[年년] ?(\d{1,2})[月월] ?(\d{1,2})[日일]", r"\1-\2-\3")
    text = pc.replace_substring_regex(text, r"^(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})\.", r"\1-\2-\3")
    text = pc.replace_substring_regex(
        text, r"(\d{1,2}) ?[時时시] ?(\d{1,2}) ?[分분](?: ?(\d{1,2}) ?[秒초])?", r"\1:\2:\3"
    )
    text = pc.replace_substring_regex(
        text, r"(\d) (\d{1,2}) ?[hH] ?(\d{2})(?: ?m(?:in)? ?(\d{2}) ?s)?$", r"\1 \2:\3:\4"
    )
    text = pc.replace_substring_regex(text, r"(\d) (\d{1,2})\.(\d{2})(?:\.(\d{2}))?$", r"\1 \2:\3:\4")
    text = pc.replace_substring_regex(text, r"(:\d{1,2}):$", r"\1")
    for half, words in (("AM", "오전|上午|午前"), ("PM", "오후|下午|午後")):
        text = pc.replace_substring_regex(text, rf"(?:{words}) ?(\d{{1,2}}:\d\d(?::\d\d)?)", rf"\1 {half}")
    text = pc.replace_substring_regex(text, _YEAR_LAST, r"\1 \4 \2\3")
    found = pc.struct_field(pc.extract_regex(text, _OFFSET), "offset")
    # a bare -04 after a date is its day, so an offset needs a clock before it
    clocked = pc.match_substring_regex(text, r"\d:\d\d|\d[Tt]\d\d")
    minutes = _minutes(pc.if_else(clocked, found, pa.scalar(None, pa.string())))
    text = pc.if_else(
        minutes.is_valid(), pc.replace_substring_regex(text, _OFFSET.replace("(?P<offset>", "(?:"), ""), text
    )
    fraction = pc.struct_field(pc.extract_regex(text, r":\d{2}[.,](?P<f>\d{1,9})(?:\D|$)"), "f")
    micros = pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, 6, "0"), 0, 6).cast(pa.int64())
    text = pc.replace_substring_regex(text, r"(:\d{2})[.,]\d{1,9}", r"\1")
    text = pc.replace_substring_regex(text, r"(?i)(\d)T(\d)", r"\1 \2")
    text = pc.replace_substring_regex(text, r"(?i)(\d),? (?:at|um|à|a las|alle|às|om) (\d)", r"\1 \2")
    text = pc.replace_substring_regex(text, r"(\d{4}):(\d{2}:)", r"\1 \2")
    text = pc.replace_substring_regex(text, r" (?:Uhr|h)$", "")
    text = pc.replace_substring(text, ", ", " ")
    if pc.any(pc.match_substring_regex(text, r"(?i)[a-zéûä]{3}")).as_py():
        text = pc.replace_substring_regex(text, r"(?i)(\d)(?:st|nd|rd|th)\b", r"\1")
        text = pc.replace_substring_regex(text, r"(?i) de ", " ")
        for short, ways in MONTHS.items():
            text = pc.replace_substring_regex(text, rf"(?i)(^|[^a-zéûä])(?:{ways})(?:\.|\b)", rf"\1{short}")
        text = pc.replace_substring_regex(text, r"(\d)\. ([A-Z])", r"\1 \2")
    return text, micros, minutes


def _minutes(words: pa.ChunkedArray) -> pa.ChunkedArray:
    known = {}
    for word in pc.unique(words).to_pylist():
        if word is not None:
            digits = re.sub(r"\D", "", word)
            digits = (digits if len(digits) > 1 else f"0{digits}").ljust(4, "0")
            size = int(digits[:2]) * 60 + int(digits[2:])
            known[word] = -size if "-" in word else size
    if not known:
        return pa.chunked_array([pa.nulls(len(words), pa.int64())])
    at = pc.index_in(words, pa.array(list(known), pa.string()))
    return pc.take(pa.array(list(known.values()), pa.int64()), at)


def _whole(unread: Sequence[int]) -> list[str]:
    """The ways to write a day that leave no text unread."""
    return [day for day, count in zip(DAYS, unread, strict=True) if not count]


def _unread(texts: pa.Array) -> list[int]:
    """How many of the texts each way to write a day doesn't read, found out in one pass."""
    read = "count(*) FILTER (coalesce(year(try_strptime(t, {})), 0) NOT BETWEEN 1990 AND 2200)"
    counts = ", ".join(read.format(f"[{', '.join(_quoted(day + clock) for clock in CLOCKS)}]") for day in DAYS)
    with connect() as db:
        db.register("texts", pa.table({"t": texts}))
        return list(db.sql(f"SELECT {counts} FROM texts").fetchall()[0])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _differ(local: pa.ChunkedArray, formats: Sequence[str]) -> bool:
    first = _parsed(local, [formats[0] + clock for clock in CLOCKS])
    return any(not first.equals(_parsed(local, [day + clock for clock in CLOCKS])) for day in formats[1:])


def _parsed(texts: pa.ChunkedArray, formats: Sequence[str]) -> pa.ChunkedArray:
    """Times by the first format that reads a text, null where none does; years outside 1990 to 2200 are none."""
    with connect() as db:
        db.register("texts", pa.table({"t": texts}))
        query = (
            "SELECT CASE WHEN year(x) BETWEEN 1990 AND 2200 THEN x END AS x FROM "
            "(SELECT try_strptime(t, $1) AS x, row_number() OVER () AS n FROM texts) ORDER BY n"
        )
        return db.sql(query, params=[list(formats)]).to_arrow_table()["x"].cast(MICROSECONDS)


def _first_unread(values: pa.ChunkedArray, local: pa.ChunkedArray, unread: Sequence[int]) -> str:
    """The first text that the format which reads most of the others doesn't."""
    day = DAYS[unread.index(min(unread))]
    read = _parsed(local, [day + clock for clock in CLOCKS])
    out: str = values[pc.index(read.is_null(), True).as_py() if read.null_count < len(read) else 0].as_py()
    return out


def unit_of(texts: Iterable[str]) -> str:
    """s, ms, us or ns where instants are numbers since 1970, excel where they are days since 1900; "" for other texts."""
    first = next(iter(texts), "")
    if re.fullmatch(r"4[0-9]{4}([.,]\d+)?", first):
        return "excel"
    if not re.fullmatch(r"\d{9,20}([.,]\d+)?", first):
        return ""
    digits = len(re.split("[.,]", first)[0])
    return "s" if digits < 12 else "ms" if digits < 15 else "us" if digits < 18 else "ns"


def are_instants(texts: Sequence[str]) -> bool:
    """Whether all are numbers that give instants of 2015 to 2050 in the unit their length tells."""
    unit = unit_of(texts)
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.get(unit, 0)
    return bool(per) and all(
        re.fullmatch(r"\d+([.,]\d+)?", t) and 1_420_000_000 <= float(t.replace(",", ".")) / per <= 2_540_000_000
        for t in texts
    )


def is_iso(texts: Sequence[str]) -> bool:
    """Whether all texts begin as ISO 8601 writes a day, with or without its clock."""
    return all(re.match(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)", text) for text in texts)
