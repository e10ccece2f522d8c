"""From recordings to a patient: pooling rules by name.

A crop's probabilities are averaged into its recording's; a rule here makes the
patient's from the recordings'. A murmur is heard at some sites only, so its rules look
at the highest probability of the positive class: the positive class gets the value
that the rule names, the other classes share the rest as in the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Pool = Callable[[np.ndarray, int], np.ndarray]


def mean(probs: np.ndarray, positive: int) -> np.ndarray:
    """Mean of the recordings; probs (n_recordings, C) -> (C,)."""
    return np.asarray(probs.mean(axis=0))


def maximum(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: its maximum over the recordings."""
    return _with_positive(probs, positive, float(probs[:, positive].max()))


def mean_max(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: mean of its mean and its maximum over the recordings."""
    scores = probs[:, positive]
    return _with_positive(probs, positive, float((scores.mean() + scores.max()) / 2))


def mean_logit(probs: np.ndarray, positive: int) -> np.ndarray:
    """Softmax of the mean log-probability: the geometric mean, normalised."""
    logs = np.log(np.maximum(probs, 1e-12)).mean(axis=0)
    pooled = np.exp(logs - logs.max())
    return np.asarray(pooled / pooled.sum())


def noisy_or(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: 1 - prod(1 - p), as if each recording could show it by itself.

    Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988.
    """
    return _with_positive(probs, positive, float(1 - np.prod(1 - probs[:, positive])))


POOLS: dict[str, Pool] = {
    "mean": mean,
    "mean_logit": mean_logit,
    "max": maximum,  # any site: the patient has it when one recording shows it
    "mean_max": mean_max,
    "noisy_or": noisy_or,
}


def pool_patients(
    probs: np.ndarray, patients: np.ndarray, n_patients: int, rule: str, positive: int
) -> np.ndarray:
    """Pool every patient.

    Parameters
    ----------
    probs : ndarray, shape (n_recordings, C)
    patients : ndarray, shape (n_recordings,)
        Row of each recording's patient, in [0, n_patients); each occurs.
    rule : str
        A key of `POOLS`.
    positive : int
        Index of the positive class.

    Returns
    -------
    ndarray, shape (n_patients, C)
    """
    rows = [POOLS[rule](probs[patients == row], positive) for row in range(n_patients)]
    return np.stack(rows)


def _with_positive(probs: np.ndarray, positive: int, value: float) -> np.ndarray:
    pooled = probs.mean(axis=0)
    rest = pooled.sum() - pooled[positive]
    if rest > 0:
        pooled = pooled * (1 - value) / rest
    pooled[positive] = value
    return np.asarray(pooled / pooled.sum())
