"""How series move: the noise of single weeks, the drift of their level, their slope; and what a simple model misses by that.

Two weeks a month apart differ by more than two neighbouring ones only as far as the level drifts. That is told from a dozen
weeks, long before enough months have passed to see which model was closest: it says how much weight a long memory and a
line deserve until they have shown themselves, and how wide a range must be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: weeks between the nearer and the farther pairs of weeks that are compared
NEAR, FAR = 1, 4
#: far pairs differ by chance too: by this share of what near ones do, over the root of the weeks
BY_CHANCE = 2.0
#: weeks a slope is told from, which all must show it, and how many times its own variance its square must be
SLOPES = ((13, 4.0), (26, 9.0))
#: weeks are at least this share of their mean where logs are taken
FLOOR = 0.02
TINY = 1e-9


@dataclass(frozen=True)
class Movement:
    """Of each series, `(series,)`, as variances of the log.

    Attributes:
        noise: of single weeks around their level.
        drift: what the level moves a week, growth included.
        swerve: the same beside steady growth.
        slope: square of the growth a week, as far as it is more than chance.
    """

    noise: np.ndarray
    drift: np.ndarray
    swerve: np.ndarray
    slope: np.ndarray


def movement_of(weeks: np.ndarray) -> Movement:
    """How series move.

    Args:
        weeks: `(series, weeks)`, mean per day, no gaps.

    Example:
        >>> steps = np.exp(0.1 * np.cumsum(np.random.default_rng(1).standard_normal((50, 52)), 1))
        >>> noise = np.exp(0.1 * np.random.default_rng(2).standard_normal((50, 52)))
        >>> for moved in (movement_of(steps), movement_of(noise)):
        ...     [round(float(np.sqrt(v.mean())), 2) for v in (moved.noise, moved.drift)]
        [0.04, 0.09]
        [0.1, 0.01]
    """
    size = weeks.shape[1]
    mean = np.maximum(weeks.mean(1), 1e-12)
    logs = np.log(np.maximum(weeks, FLOOR * mean[:, None]))
    (near, far), (near_beside, far_beside) = (
        [_apart(weeks / mean[:, None], logs, lag, steady) for lag in (NEAR, FAR)] for steady in (False, True)
    )
    chance = 1 + BY_CHANCE / np.sqrt(size)
    drift = np.maximum(far - chance * near, 0.0) / (FAR - NEAR)
    swerve = np.maximum(far_beside - chance * near_beside, 0.0) / (FAR - NEAR)
    noise = np.maximum(near_beside - swerve, 0.1 * near_beside) / 2 + 1e-6
    # a burst weighs more in sums than in logs: so is its chance to look like growth
    plain = np.mean(np.diff(weeks / mean[:, None], axis=1) ** 2, axis=1) if size > 1 else near
    lively = np.maximum(1.0, plain / np.maximum(near, 1e-12))
    slope = np.min([_slope(logs[:, -w:], noise * lively, swerve, times) for w, times in SLOPES], axis=0)
    return Movement(noise, drift, swerve, slope)


def _slope(logs: np.ndarray, noise: np.ndarray, swerve: np.ndarray, times: float) -> np.ndarray:
    """Square of the growth a week, less what chance may make of it."""
    count = logs.shape[1]
    at = np.arange(count) - (count - 1) / 2
    slope = logs @ at / max(at @ at, 1e-12)
    by_chance = 12 * noise / count**3 + 1.2 * swerve / count
    out: np.ndarray = np.maximum(slope**2 - times * by_chance, 0.0)
    return out


def _apart(weeks: np.ndarray, logs: np.ndarray, lag: int, steady: bool) -> np.ndarray:
    """How far weeks so far apart differ, squared; as logs or as shares of the mean, whichever is less.

    Args:
        weeks: `(series, weeks)` over their mean.
        logs: of them.
        lag: weeks between two.
        steady: leave out what all pairs differ by alike.
    """
    if weeks.shape[1] <= lag:
        return np.zeros(len(weeks))
    plain, as_logs = (values[:, lag:] - values[:, :-lag] for values in (weeks, logs))
    out: np.ndarray = np.minimum((plain**2).mean(1), (as_logs**2).mean(1))
    return np.minimum(out, as_logs.var(1)) if steady else out


def expected_miss(moved: Movement, window: int, ahead: np.ndarray, line: bool = False) -> np.ndarray:
    """Variance of what a mean of some weeks, or a line through them, misses: `(series, leads)`.

    Args:
        moved: how series move.
        window: weeks it is made of.
        ahead: `(leads,)`, weeks from the end to the middle of what is forecast.
        line: whether it is a line.

    Example:
        >>> still, moving = (Movement(*np.array([[0.01], [q], [q], [0.0]])) for q in (0.0, 0.01))
        >>> [bool(expected_miss(m, 26, np.array([2.0])) < expected_miss(m, 4, np.array([2.0]))) for m in (still, moving)]
        [True, False]
    """
    noise, drift, slope = (v[:, None] for v in (moved.noise, moved.swerve, moved.slope))
    if line:
        reach = 1 / window + 12 * (window / 2 + ahead) ** 2 / window**3
        out: np.ndarray = noise * reach + drift * (window / 7.5 + ahead + 1.2 * ahead**2 / window)
    else:
        out = noise / window + drift * (window / 3 + ahead) + slope * ((window - 1) / 2 + ahead) ** 2
    return out + noise / FAR + TINY
