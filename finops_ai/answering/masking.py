"""Who people and keys are stays inside, unless the settings let it out: names that say nothing, the same one each time.

A person or key leaves as `user-3f9a2c71`: a keyed digest, so that nobody without the workspace's key can try names on it, and
the same person has the same name in every answer. A question may use that name.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import SettingsError, hint
from finops_ai.frames.origin import left_out_of

if TYPE_CHECKING:
    from finops_ai.answering.known import Known
    from finops_ai.config import Settings

log = logging.getLogger("finops_ai.answering")

#: column -> what its values are called when they are masked
IDENTITIES = {"user_id": "user", "api_key_id": "key", "session_id": "session", "request_id": "request"}
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_WORD = re.compile(r"[\w-]+")
_PSEUDONYM = re.compile(r"(user|key|session|request|person)-[0-9a-f]{10}")


class Mask:
    """Replaces identities in what leaves, and finds them again in what is asked.

    Args:
        known: the workspace.
        shown: columns whose values may leave as they are.
    """

    def __init__(self, known: Known, shown: Sequence[str] = ()) -> None:
        self.known, self.shown = known, frozenset(shown)
        self.key = _key_of(known.ws.state_folder / "mask.key")

    @property
    def masked(self) -> list[str]:
        """Columns whose values don't leave."""
        return [column for column in IDENTITIES if column not in self.shown]

    def name_of(self, column: str, value: str) -> str:
        """The name under which an identity leaves."""
        digest = hmac.new(self.key, f"{column}\0{value}".encode(), hashlib.sha256).hexdigest()[:10]
        return f"{IDENTITIES.get(column, 'person')}-{digest}"

    def identities(self) -> dict[str, str]:
        """Every identity of the data -> the name under which it leaves; once per state of the data."""
        return self.known.kept(("identities", tuple(self.masked)), self._identities)

    def _identities(self) -> dict[str, str]:
        clock = self.known.clock
        out: dict[str, str] = {}
        for month in self.known.ws.months_before(clock.months[-1], 13) if clock.months else []:
            frame = self.known.ws.cube(month)
            for column in reversed(self.masked):
                if column in frame.columns and column not in left_out_of(frame):
                    out |= {str(v): self.name_of(column, str(v)) for v in frame[column].dropna().unique()}
        return out

    def _by_words(self) -> tuple[dict[str, str], list[int]]:
        """Identities from their first word to their last -> mask, and of how many words there are any."""

        def make() -> tuple[dict[str, str], list[int]]:
            masks, lengths = {}, set()
            for identity, mask in self.identities().items():
                words = list(_WORD.finditer(identity))
                if words:
                    masks[identity[words[0].start() : words[-1].end()]] = mask
                    lengths.add(len(words))
            return masks, sorted(lengths, reverse=True)

        return self.known.kept(("masks", tuple(self.masked)), make)

    def value(self, value: object, column: str = "") -> Any:
        """A value as it may leave: an identity by its mask, texts with the identities in them masked."""
        if not isinstance(value, str) or not value:
            return value
        if column in self.masked:
            return self.name_of(column, value) if not _PSEUDONYM.fullmatch(value) else value
        return self.text(value)

    def text(self, text: str) -> str:
        """A text with every identity of the data, and every e-mail address, masked."""
        if not self.masked:
            return text
        masks, lengths = self._by_words()
        words = [match.span() for match in _WORD.finditer(text)]
        out, at, done = [], 0, 0
        while at < len(words):
            for count in lengths:  # the longest first
                if at + count <= len(words) and (mask := masks.get(text[words[at][0] : words[at + count - 1][1]])):
                    out += [text[done : words[at][0]], mask]
                    done, at = words[at + count - 1][1], at + count
                    break
            else:
                at += 1
        text = "".join([*out, text[done:]])
        if "user_id" in self.masked:
            text = _EMAIL.sub(lambda match: self.name_of("user_id", match[0]), text)
        return text

    def unmasked(self, column: str, value: str) -> str:
        """The identity behind a mask that is asked about.

        Raises:
            SettingsError: no identity of the data has this mask; real names aren't taken, as the answer would confirm them.
        """
        if column not in self.masked:
            return value
        real = next((identity for identity, mask in self.identities().items() if mask == value), None)
        if real is not None:
            return real
        raise SettingsError(
            f"{column} is masked here: ask with a name that an answer gave, such as {IDENTITIES[column]}-0123456789, or let it out "
            f'in finops.toml: [answers] show = ["{column}"].'
        )


def shown_by(settings: Settings) -> list[str]:
    """The identity columns that finops.toml lets out: `[answers] show = ["user_id"]`.

    Raises:
        SettingsError: a key or column that doesn't exist.
    """
    section = settings.policies.get("answers", {})
    for key in section if isinstance(section, dict) else ["?"]:
        if key != "show":
            raise SettingsError(f"finops.toml, [answers]: no setting called {key!r}. {hint(key, ['show'])}")
    shown = section.get("show", [])
    if not isinstance(shown, list):
        raise SettingsError(
            f'finops.toml, [answers] show must be a list of columns, such as ["api_key_id"], got {shown!r}.'
        )
    for column in shown:
        if column not in IDENTITIES:
            raise SettingsError(
                f"finops.toml, [answers] show: {column!r} is no identity. {hint(str(column), IDENTITIES)}"
            )
    return shown


def _key_of(path: Path) -> bytes:
    """The workspace's key, made once; where it can't be kept, one for this process."""
    from finops_ai.store.whole import private

    try:
        return path.read_bytes()
    except OSError:
        pass
    key = secrets.token_bytes(32)
    try:
        with private():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(key)
        return key
    except FileExistsError:  # another process was quicker
        return path.read_bytes()
    except OSError as error:
        log.info("Masks last as long as this process: %s", error)
        return key
