"""What a log calls its own cost: whether a column is one, in which currency, and how many of it make one unit of that."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from finops_ai.providers.names import COLUMNS, find_name

#: words for a cost that leave nothing else open, folded as `bare_name` folds them
WORDS = frozenset(COLUMNS["billed_cost"]) | {
    "charge", "charges", "costs", "couts", "costes", "costos", "costi", "custos", "valor", "importo", "spesa", "gasto", "entgelt", "koszt",
    "kwota", "kostnad", "omkostning", "omkostninger", "kustannus", "hinta", "cena", "naklady", "koltseg", "maliyet", "tutar", "стоимость",
    "цена", "сумма", "費用", "料金", "金額", "コスト", "费用", "金额", "成本", "비용", "금액", "요금",
}  # fmt: skip
#: those that English logs write, where a currency nobody names is the dollar
ENGLISH = frozenset(
    {
        "costtotal",
        "totalcosts",
        "cost",
        "costs",
        "totalcost",
        "price",
        "spend",
        "amount",
        "responsecost",
        "charge",
        "charges",
    }
)
#: words that say nothing of a cost's currency or size
_FILLING = frozenset({
    "total", "totals", "sum", "overall", "gesamt", "estimated", "est", "calculated", "of", "the", "de", "di", "model", "call", "llm", "ai",
})  # fmt: skip
#: words between a cost and its currency
_BETWEEN = frozenset({"in", "en", "em", "w"})
#: sign -> currency; the longer one holds
SIGNS = {
    "US$": "USD", "R$": "BRL", "A$": "AUD", "C$": "CAD", "HK$": "HKD", "NZ$": "NZD", "S$": "SGD", "NT$": "TWD", "€": "EUR", "$": "USD",
    "£": "GBP", "\u00a5": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS", "₴": "UAH", "₫": "VND", "฿": "THB", "元": "CNY",
    "円": "JPY", "원": "KRW", "zł": "PLN", "Kč": "CZK",
}  # fmt: skip
#: a sign or word of several currencies
SHARED = {"\u00a5": ("JPY", "CNY"), "kr": ("SEK", "NOK", "DKK")}
#: codes that name a cost alone, without a word for it
ALONE = frozenset({"USD", "EUR", "GBP", "CHF", "JPY", "CNY"})
CODES = frozenset({
    "USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "KRW", "BRL", "AUD", "CAD", "NZD", "SGD", "HKD", "TWD", "SEK", "NOK", "DKK", "ISK", "PLN",
    "CZK", "HUF", "RON", "BGN", "TRY", "RUB", "UAH", "ILS", "AED", "SAR", "QAR", "KWD", "EGP", "ZAR", "NGN", "KES", "MXN", "ARS", "CLP", "COP",
    "PEN", "UYU", "IDR", "MYR", "PHP", "THB", "VND", "PKR", "BDT", "LKR",
})  # fmt: skip
_NAMED = {
    "dollar": "USD", "dollars": "USD", "euro": "EUR", "euros": "EUR", "pound": "GBP", "pounds": "GBP", "franken": "CHF", "yen": "JPY",
    "yuan": "CNY", "rmb": "CNY", "rupees": "INR", "reais": "BRL", "zloty": "PLN",
}  # fmt: skip
#: how many make one unit of the currency, by word
PARTS = {"cent": 100, "cents": 100, "ct": 100, "cts": 100, "pence": 100, "centimes": 100, "centimos": 100, "centavos": 100,
         "milli": 1000, "millis": 1000, "mills": 1000, "micro": 10**6, "micros": 10**6, "nano": 10**9, "nanos": 10**9,
         "ticks": 10**10}  # fmt: skip
#: parts of a name that make a column of numbers look like a cost that nobody reads
COSTLIKE = re.compile(
    r"cost|kost|cout|coste|custo|price|preis|prix|prijs|spend|betrag|montant|importe|bedrag|koszt|费用|費用|金額|金额"
)


@dataclass(frozen=True)
class Cost:
    """What a name says of a cost.

    Attributes:
        currency: ISO 4217; "" where it isn't stated.
        per: how many of the column's numbers make one unit of the currency: 100 for cents.
        shared: the currencies between which a sign leaves it open.
    """

    currency: str = ""
    per: int = 1
    shared: tuple[str, ...] = ()


def cost_of(name: str) -> Cost | None:
    """What a column's name says of a cost; None where it isn't sure to be the cost of the row.

    >>> cost_of("Kosten (€)"), cost_of("cost_micro_usd"), cost_of("cost_cents")
    (Cost(currency='EUR', per=1, shared=()), Cost(currency='USD', per=1000000, shared=()), Cost(currency='', per=100, shared=()))
    >>> cost_of("input_cost_per_token"), cost_of("cost_center")
    (None, None)
    """
    said = _folded(re.split(r"(?<=\w)\.(?=\w)", name)[-1])
    signs = _signs(said)
    for sign in signs:
        said = said.replace(sign, " ")
    currencies, per, rest = {SIGNS[sign] for sign in signs}, 1, []
    for word in _split(said):
        front, tail = next(
            ((p, word[len(p) :]) for p in ("micro", "milli", "nano", "euro") if word.startswith(p)), ("", word)
        )
        if word in SHARED:
            signs.append(word)
            currencies.add(SHARED[word][0])
        elif code := _currency(word):
            currencies.add(code)
        elif word in PARTS:
            per *= PARTS[word]
        elif front in PARTS and (code := _currency(tail)):
            per *= PARTS[front]
            currencies.add(code)
        elif front == "euro" and tail in PARTS:
            per *= PARTS[tail]
            currencies.add("EUR")
        elif word not in _FILLING:
            rest.append(word)
    if currencies or per > 1:
        rest = [word for word in rest if word not in _BETWEEN]
    called = "".join(rest)
    if len(currencies) > 1 or not (called in WORDS or (not called and (signs or currencies & ALONE))):
        return None
    written_on = {code for code in ("USD", "EUR") if called.endswith(code.lower())}
    shared = next((SHARED[sign] for sign in signs if sign in SHARED), ())
    return Cost(next(iter(currencies or written_on), ""), per, shared)


def currency_in(texts: Sequence[str]) -> set[str]:
    """The currencies that the cells of a column name by sign or code.

    >>> sorted(currency_in(["$0.0012", "1.20 EUR", "3"]))
    ['EUR', 'USD']
    """
    found = set()
    for text in map(_folded, texts):
        found |= {SIGNS[sign] for sign in _signs(text)}
        found |= {code for code in re.findall(r"[A-Z]{3}", text) if code in CODES}
    return found


def _folded(text: str) -> str:
    """A text with one kind of brackets and signs, as Asian keyboards write several."""
    return unicodedata.normalize("NFKC", text)


def _signs(text: str) -> list[str]:
    """The signs of currencies in a text; one that is part of a longer one isn't one."""
    return re.findall("|".join(re.escape(sign) for sign in sorted(SIGNS, key=len, reverse=True)), text)


def _split(text: str) -> list[str]:
    """The words of a name, folded: `costMicroUSD`, `cost_micro_usd` and `Cost (micro USD)` alike."""
    plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))
    plain = unicodedata.normalize("NFC", plain)
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", plain)
    return [word.lower() for word in found]


def _currency(word: str) -> str:
    return word.upper() if word.upper() in CODES else _NAMED.get(word, "")


def find_cost(names: Sequence[str]) -> str | None:
    """The column of the cost: by its exact name, else the first whose name can only be one."""
    return find_name(names, COLUMNS["billed_cost"]) or next((name for name in names if cost_of(name)), None)


def currency_of(name: str, texts: Sequence[str], decimal: str) -> tuple[str, str]:
    """The currency of a cost column, and what isn't sure of it ("" where it is): its name and cells tell, else it is a guess.

    Args:
        texts: its cells.
        decimal: the sign that the file writes before decimals.

    >>> currency_of("Kosten", ["1,20 €"], ",")
    ('EUR', '')
    >>> currency_of("Kosten", ["1,20"], ",")
    ('USD', "The currency of 'Kosten' isn't stated: it is read as USD.")
    """
    said, inside = cost_of(name) or Cost(), currency_in(texts)
    if said.shared and len(inside) < 2:
        return said.currency, f"{name!r} may be in {' or '.join(said.shared)}: it is read as {said.currency}."
    stated = inside | ({said.currency} - {""})
    if len(stated) > 1:
        return sorted(stated)[0], f"{name!r} states {' and '.join(sorted(stated))}: it is read as {sorted(stated)[0]}."
    if stated:
        return stated.pop(), ""
    sure = decimal == "." and "".join(w for w in _split(_folded(name.rpartition(".")[2])) if w not in PARTS) in ENGLISH
    return "USD", "" if sure else f"The currency of {name!r} isn't stated: it is read as USD."
