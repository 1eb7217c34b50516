"""What may be seen of persons: names are masked unless they are asked for, small groups are one, nobody is ranked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from finops_ai.identity import Identities

#: what accounts nobody is known to hold are called, before their masked name
UNKNOWN = "unknown account"
#: what can't be given to a person
NOBODY = "not by person"


@dataclass(frozen=True)
class Privacy:
    """Who is shown, and how: the `[people]` section's `shown`, `smallest` and `ranked`.

    Attributes:
        shown: names are shown; else each person is a stable masked name. Ask for it where the reader has the right to it.
        smallest: groups of fewer persons are put together in one row; 1 shows each.
        ranked: rows of persons are ordered by cost; else by name.
        salt: what masked names are made with.

    Example:
        >>> Privacy(shown=True).name("Ada"), Privacy().name("Ada").startswith("person ")
        ('Ada', True)
    """

    shown: bool = False
    smallest: int = 5
    ranked: bool = False
    salt: str = ""

    def name(self, person: str | None, account: str | None = None) -> str:
        """A person as they may be shown; an account that nobody is known to hold, as such.

        >>> Privacy(shown=True).name("Ada"), Privacy(salt="s").name("Ada") == Privacy(salt="s").name("Ada"), Privacy().name(None)
        ('Ada', True, 'not by person')
        """
        if person is not None:
            return person if self.shown else f"person {self._mask(person)}"
        if account:
            return f"{UNKNOWN} {account if self.shown else self._mask(account)}"
        return NOBODY

    def _mask(self, text: str) -> str:
        return hmac.new(self.salt.encode(), text.encode(), hashlib.sha256).hexdigest()[:10]

    @property
    def small(self) -> str:
        """What groups of fewer than `smallest` persons are called together."""
        return f"groups under {self.smallest} people"

    def hidden(self, members: pd.DataFrame, group: str, within: Sequence[str] = ()) -> set[tuple[Any, ...]]:
        """The groups that are too small to be shown alone.

        Where those together are too few, too, the next smallest group joins them, so that nobody is found out by
        subtraction.

        Args:
            members: one row per group, person and value of `within`; rows without a person count nobody.
            group: the column of groups.
            within: columns that each have groups of their own, such as the month.

        Returns:
            (value of `within`..., group), each to be put together with the others of its `within`.
        """
        if self.shown or self.smallest <= 1:
            return set()
        out: set[tuple[Any, ...]] = set()
        known = members[members["person"].notna()]
        whole = known.groupby([*within, group], dropna=False)["person"].nunique()
        sizes: dict[tuple[Any, ...], list[tuple[int, tuple[Any, ...]]]] = {}
        for key, count in whole.items():
            key = key if isinstance(key, tuple) else (key,)
            sizes.setdefault(key[:-1], []).append((int(count), key))
        for found in sizes.values():
            found.sort(key=lambda item: (item[0], str(item[1])))
            small = [item for item in found if item[0] < self.smallest]
            rest = found[len(small) :]
            while small and rest and sum(count for count, _ in small) < self.smallest:
                small.append(rest.pop(0))
            out |= {key for _, key in small}
        return out


def told(privacy: Privacy | None, identities: Identities) -> Privacy:
    """What may be seen, with the salt of who is who where it has none of its own."""
    privacy = privacy or Privacy()
    return privacy if privacy.salt else replace(privacy, salt=identities.salt)


__all__ = ["NOBODY", "UNKNOWN", "Privacy", "told"]
