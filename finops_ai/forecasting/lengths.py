"""How long answers are: learned per model and prompt template from request logs, from counts only, never from text.

Three sources, best first: what this template produced on this model; what it produced on other models (a prompt's mean
length correlates 0.67 between models); what prompts of its size and kind produce. Each is trusted by how much of it
was seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, SettingsError
from finops_ai.meters import meters

#: requests a template must have before its own length counts half
HALF_TRUST = 5.0
#: trees, how much of each is added, rows a leaf needs
TREES, RATE, LEAF = 250, 0.1, 20
#: a text column with at most this many values becomes a yes/no column for each, else one column ordered by mean length
FEW = 12


def prompt_features(text: str) -> dict[str, float]:
    """Counts that describe how complex a prompt is; the text itself is not kept.

    >>> prompt_features("What is 2 + 2?")["p_questions"], prompt_features("What is 2 + 2?")["p_words"]
    (1.0, 5.0)
    """
    words = text.split()
    return {
        "p_chars": float(len(text)),
        "p_words": float(len(words)),
        "p_uniq": float(len({w.lower() for w in words})),
        "p_digits": float(sum(ch.isdigit() for ch in text)),
        "p_lines": float(text.count("\n") + 1),
        "p_questions": float(text.count("?")),
        "p_avg_word": float(np.mean([len(w) for w in words])) if words else 0.0,
        "p_code": float(bool(re.search(r"```|\bdef \w+\(|\bclass \w+|[{};]\s*$|^\s*import ", text, re.MULTILINE))),
    }


def request_lengths(tokens: pd.DataFrame) -> pd.DataFrame:
    """Mean input and output tokens per request of a token frame, by day, provider, model and prompt template.

    Returns:
        `day, provider, model, prompt_id, requests, input_tokens, output_tokens` (means per request). Slices without a
        count of requests or without output are left out.
    """
    known = meters()
    keys = ["provider", "model", "prompt_id"]
    rows = pd.DataFrame({c: tokens[c].astype(object).where(tokens[c].notna(), None).to_numpy() for c in keys})
    rows["day"] = tokens["charge_period_start"].dt.tz_convert("UTC").dt.tz_localize(None).dt.floor("D").to_numpy()
    rows["side"] = [
        m if m == "requests" else (known[m].direction if m in known and known[m].unit == "tokens" else "")
        for m in tokens["meter"]
    ]
    rows["quantity"] = tokens["quantity"].astype("float64").to_numpy()
    rows = rows.dropna(subset="prompt_id")
    sums = rows.pivot_table(index=["day", *keys], columns="side", values="quantity", aggfunc="sum", fill_value=0.0)
    for name in ("requests", "input", "output"):
        if name not in sums.columns:
            sums[name] = 0.0
    sums = sums[(sums["requests"] > 0) & (sums["output"] > 0)].reset_index()
    out = sums[["day", *keys, "requests"]].copy()
    out["input_tokens"], out["output_tokens"] = sums["input"] / sums["requests"], sums["output"] / sums["requests"]
    out.columns.name = None
    return out


@dataclass
class OutputLengths:
    """Expected output tokens per request.

    Attributes:
        features: numeric columns that describe the prompt (`input_tokens`, `p_*`).
        kinds: text columns with few values (`model`, a task type).
        template: column that names the prompt template, if any.

    Example:
        >>> log = pd.DataFrame({"model": ["a", "b"] * 50, "prompt_id": ["short", "short", "long", "long"] * 25,
        ...                     "output_tokens": [10, 20, 100, 200] * 25})
        >>> lengths = OutputLengths(features=[]).fit(log)
        >>> lengths.predict(log.head(4))["output_tokens"].round(-1).tolist()
        [10.0, 20.0, 100.0, 200.0]
    """

    features: Sequence[str] = ("input_tokens",)
    kinds: Sequence[str] = ("model",)
    template: str | None = "prompt_id"
    spread: float = np.nan
    stretch: float = 1.0
    _trees: Any = None
    _order: dict[str, dict[str, float]] = field(default_factory=dict)
    _by_template: dict[str, float] = field(default_factory=dict)
    _by_pair: dict[tuple[str, str], float] = field(default_factory=dict)

    def fit(self, log: pd.DataFrame, weight: str | None = None) -> OutputLengths:
        """Learn from a log.

        Args:
            log: one row per request or group of requests, with `output_tokens` (a number, or a list of them), the
                features, the kinds and, if it is used, the template.
            weight: column of how many requests a row stands for.
        """
        tokens, logs = _lengths(log)
        mass = np.ones(len(log)) if weight is None else log[weight].astype(float).to_numpy()
        self._order = {}
        for kind in self.kinds:
            frame = (
                pd.DataFrame({"kind": _text(log, kind), "wy": logs * mass, "w": mass})
                .groupby("kind")[["wy", "w"]]
                .sum()
            )
            self._order[kind] = _plain(frame["wy"] / frame["w"])
        x = self._matrix(log)
        self._trees = _trees()
        with _one_thread():
            self._trees.fit(x, logs, sample_weight=mass / mass.mean())
        expected = self._expected(x)
        rest = logs - expected
        self._by_template, self._by_pair = {}, {}
        if self.template:
            names, models = (
                _text(log, self.template),
                _text(log, self.kinds[0]) if self.kinds else np.full(len(log), ""),
            )
            frame = pd.DataFrame({"t": names, "m": models, "wr": rest * mass, "w": mass})
            whole = frame.groupby("t")[["wr", "w"]].sum()
            self._by_template = _plain(whole["wr"] / (whole["w"] + HALF_TRUST))
            left = frame["wr"] - frame["w"] * frame["t"].map(self._by_template)
            pairs = frame.assign(wr=left).groupby(["t", "m"])[["wr", "w"]].sum()
            self._by_pair = _plain(pairs["wr"] / (pairs["w"] + HALF_TRUST))
        made = expected + self._effects(log)
        self.spread = float(np.sqrt(np.average((logs - made) ** 2, weights=mass)))
        self.stretch = float((tokens * mass).sum() / (np.exp(made) * mass).sum())
        return self

    def predict(self, prompts: pd.DataFrame) -> pd.DataFrame:
        """Expected length of each prompt's answer.

        Returns:
            `output_tokens` (mean, so that sums are right), `median`, `p10, p90` of a single request, and `basis`: `template
            and model`, `template on other models`, or `features`.
        """
        made = self._expected(self._matrix(prompts)) + self._effects(prompts)
        median = np.exp(made)
        width = np.exp(1.2816 * self.spread)
        out = pd.DataFrame(
            {"output_tokens": median * self.stretch, "median": median, "p10": median / width, "p90": median * width}
        )
        basis = np.full(len(prompts), "features", dtype=object)
        if self.template:
            names = _text(prompts, self.template)
            models = _text(prompts, self.kinds[0]) if self.kinds else np.full(len(prompts), "")
            known = np.array([name in self._by_template for name in names], dtype=bool)
            both = np.array([pair in self._by_pair for pair in zip(names, models, strict=True)], dtype=bool)
            basis = np.where(both, "template and model", np.where(known, "template on other models", basis))
        return out.assign(basis=basis).set_index(prompts.index)

    def switch_factor(self, prompts: pd.DataFrame, to_model: str) -> float:
        """How much longer the same prompts' answers are on another model: `ModelSwitch(output_factor=...)`."""
        if to_model not in self._order[self.kinds[0]]:
            raise SettingsError(f"No request of model {to_model!r} was learned from: its answers' length is unknown.")
        now = self.predict(prompts)["output_tokens"].sum()
        return float(self.predict(prompts.assign(**{self.kinds[0]: to_model}))["output_tokens"].sum() / now)

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        columns = [frame[name].astype(float).to_numpy() for name in self.features]
        for kind in self.kinds:
            order, values = self._order[kind], _text(frame, kind)
            if len(order) <= FEW:
                columns += [(values == value).astype(float) for value in sorted(order)]
            else:
                columns.append(np.array([order.get(value, np.nan) for value in values]))
        return np.stack(columns, axis=1) if columns else np.zeros((len(frame), 1))

    def _expected(self, x: np.ndarray) -> np.ndarray:
        with _one_thread():
            return np.asarray(self._trees.predict(x))

    def _effects(self, frame: pd.DataFrame) -> np.ndarray:
        if not self.template:
            return np.zeros(len(frame))
        names = _text(frame, self.template)
        models = _text(frame, self.kinds[0]) if self.kinds else np.full(len(frame), "")
        return np.array(
            [self._by_template.get(n, 0.0) + self._by_pair.get((n, m), 0.0) for n, m in zip(names, models, strict=True)]
        )


def _one_thread() -> Any:
    """Trees this small lose more by waiting for each other's threads than they gain."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _trees() -> Any:
    """Gradient-boosted trees of scikit-learn, the same on every run."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ModuleNotFoundError:
        raise SettingsError(
            "Learning output lengths needs scikit-learn: pip install 'finops-ai-core[lengths]'."
        ) from None
    return HistGradientBoostingRegressor(
        max_iter=TREES,
        learning_rate=RATE,
        max_leaf_nodes=31,
        min_samples_leaf=LEAF,
        early_stopping=False,
        random_state=0,
    )


def _plain(values: pd.Series) -> dict[Any, float]:
    return {key: float(value) for key, value in values.items()}


def _text(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame.columns:
        raise SettingsError(f"The requests have no column {column!r}; they have {[str(c) for c in frame.columns]}.")
    return frame[column].astype(str).to_numpy()


def _lengths(log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean tokens and mean log of tokens of each row."""
    if "output_tokens" not in log.columns or not len(log):
        raise DataError("Learning output lengths needs rows with a column output_tokens.")
    if isinstance(log["output_tokens"].iloc[0], list | tuple | np.ndarray):
        many = [np.maximum(np.asarray(row, dtype=float), 1) for row in log["output_tokens"]]
        return np.array([row.mean() for row in many]), np.array([np.log(row).mean() for row in many])
    tokens = np.maximum(log["output_tokens"].astype(float).to_numpy(), 1)
    return tokens, np.log(tokens)
