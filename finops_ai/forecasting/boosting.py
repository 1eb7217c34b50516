"""Gradient-boosted trees in numpy: small, deterministic, no further dependency. For tables of tens of thousands of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: features are cut into at most this many bins
BINS = 64


@dataclass
class Boosted:
    """Least-squares boosting over binned features; each tree splits level by level, so it is evaluated by table look-up.

    Attributes:
        trees: how many.
        depth: levels of each tree.
        rate: how much of each tree is added.
        least: rows a leaf needs, as added weight in the leaf means and split gains.

    Example:
        >>> x = np.linspace(0, 1, 200)[:, None]
        >>> model = Boosted(trees=60, depth=2, least=1).fit(x, (x[:, 0] > 0.5).astype(float))
        >>> model.predict(np.array([[0.1], [0.9]])).round(2).tolist()
        [0.0, 1.0]
    """

    trees: int = 250
    depth: int = 5
    rate: float = 0.08
    least: float = 20.0
    base: float = 0.0
    edges: list[np.ndarray] = field(default_factory=list)
    splits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def fit(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Boosted:
        """Learn `y` from `(rows, features)`; NaN is a value of its own, below all others."""
        self.edges = [_edges(column) for column in x.T]
        self.splits = []
        bins = self._binned(x)
        weight = np.ones(len(y)) if weight is None else weight
        self.base = float(np.average(y, weights=weight))
        rest = y - self.base
        for _ in range(self.trees):
            feature, cut, value, leaf = self._tree(bins, rest, weight)
            self.splits.append((feature, cut, value))
            rest = rest - value[leaf]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predicted value of each row."""
        bins = self._binned(x)
        out = np.full(len(x), self.base)
        rows = np.arange(len(x))
        for feature, cut, value in self.splits:
            node = np.zeros(len(x), dtype=np.int64)
            for _ in range(self.depth):
                node = 2 * node + 1 + (bins[rows, feature[node]] > cut[node])
            out += value[node - (2**self.depth - 1)]
        return out

    def _binned(self, x: np.ndarray) -> np.ndarray:
        columns = [np.searchsorted(edge, column, side="left") + 1 for edge, column in zip(self.edges, x.T, strict=True)]
        bins = np.stack(columns, axis=1)
        return np.where(np.isnan(x), 0, bins).astype(np.int64)

    def _tree(self, bins: np.ndarray, rest: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        """One tree: per inner node the feature and bin to split at, per leaf its value; and each row's leaf."""
        inner = 2**self.depth - 1
        feature, cut = np.zeros(inner, dtype=np.int64), np.full(inner, BINS + 2, dtype=np.int64)
        node = np.zeros(len(rest), dtype=np.int64)
        rows = np.arange(len(rest))
        pull = rest * weight
        for level in range(self.depth):
            first, count = 2**level - 1, 2**level
            best = np.zeros(count)
            place = (node - first) * (BINS + 2)
            for column in range(bins.shape[1]):
                key = place + bins[:, column]
                total = np.bincount(key, pull, count * (BINS + 2)).reshape(count, -1).cumsum(1)
                mass = np.bincount(key, weight, count * (BINS + 2)).reshape(count, -1).cumsum(1)
                all_total, all_mass = total[:, -1:], mass[:, -1:]
                gain = total**2 / (mass + self.least) + (all_total - total) ** 2 / (all_mass - mass + self.least)
                gain -= all_total**2 / (all_mass + self.least)
                gain[(mass < self.least) | (all_mass - mass < self.least)] = 0.0
                at = gain.argmax(1)
                value = gain[np.arange(count), at]
                better = value > best + 1e-12
                best[better] = value[better]
                feature[first : first + count][better] = column
                cut[first : first + count][better] = at[better]
            node = 2 * node + 1 + (bins[rows, feature[node]] > cut[node])
        leaf = node - inner
        leaves = 2**self.depth
        value = np.bincount(leaf, pull, leaves) / (np.bincount(leaf, weight, leaves) + self.least)
        return feature, cut, self.rate * value, leaf


def _edges(column: np.ndarray) -> np.ndarray:
    known = column[~np.isnan(column)]
    if not len(known):
        return np.empty(0)
    distinct = np.unique(known)
    if len(distinct) <= BINS:
        return (distinct[1:] + distinct[:-1]) / 2
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
