"""Names that go away: they work on, say what to use instead and until when (docs/api.md)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: what is still there although it is to go -> the version that takes it away; a test reads it
GOING: dict[str, str] = {}


def deprecated(instead: str, gone_in: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a public function that goes away.

    Args:
        instead: what to use, as a user would write it.
        gone_in: the version that takes it away, such as "0.4.0".

    >>> @deprecated("fa.price(tokens)", "0.4.0")
    ... def old(x): return x
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     old(1), str(said[0].message)
    (1, 'old goes away in finops_ai 0.4.0; use fa.price(tokens).')
    >>> GOING.pop("old")
    '0.4.0'
    """

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        GOING[function.__qualname__] = gone_in

        @functools.wraps(function)
        def warned(*args: P.args, **kwargs: P.kwargs) -> T:
            text = f"{function.__qualname__} goes away in finops_ai {gone_in}; use {instead}."
            warnings.warn(text, FutureWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warned

    return mark


def renamed(gone_in: str, **names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take parameters under their old names, with a warning.

    Args:
        gone_in: the version that no longer takes them.
        names: old name -> new name.

    Raises:
        TypeError: on a call, where both names are given.
    """

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        GOING.update({f"{function.__qualname__}({old}=)": gone_in for old in names})

        @functools.wraps(function)
        def taken(*args: P.args, **kwargs: P.kwargs) -> T:
            for old, new in names.items():
                if old in kwargs:
                    if new in kwargs:
                        raise TypeError(f"{function.__qualname__}: {old} is the old name of {new}; give one of them.")
                    text = f"{function.__qualname__}: {old} is called {new}; the old name goes away in finops_ai {gone_in}."
                    warnings.warn(text, FutureWarning, stacklevel=2)
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return taken

    return mark
