"""Pooling rules: the probabilities of several sites become those of one person, by name.

A site is a crop of a recording or a recording of a patient. A murmur is heard at some sites only,
so its rules look at the highest probability of the positive class: the positive class gets the
value that the rule names, the other classes share the rest as in the mean. A new rule is a
function and a row of `POOLS`, and one of tensors in `kfold_hs.bundle.graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

Pool = Callable[[np.ndarray, int], np.ndarray]
"""Sites (..., n_sites, C) and the index of the positive class -> (..., C)."""


def mean(probs: np.ndarray, positive: int) -> np.ndarray:
    """Mean of the sites."""
    return np.asarray(probs.mean(axis=-2))


def maximum(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: its maximum over the sites."""
    return _with_positive(probs, positive, probs[..., positive].max(axis=-1))


def mean_max(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: mean of its mean and its maximum over the sites."""
    scores = probs[..., positive]
    return _with_positive(probs, positive, (scores.mean(axis=-1) + scores.max(axis=-1)) / 2)


def mean_logit(probs: np.ndarray, positive: int) -> np.ndarray:
    """Softmax of the mean log-probability: the geometric mean, normalised."""
    logs = np.log(np.maximum(probs, 1e-12)).mean(axis=-2)
    pooled = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(pooled / pooled.sum(axis=-1, keepdims=True))


def noisy_or(probs: np.ndarray, positive: int) -> np.ndarray:
    """Positive class: 1 - prod(1 - p), as if each site could show it by itself.

    Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988.
    """
    return _with_positive(probs, positive, 1 - np.prod(1 - probs[..., positive], axis=-1))


def any_site(probs: np.ndarray, positive: int) -> np.ndarray:
    """The site whose positive class leads the other classes by most, or trails them by least.

    So the positive class is the most probable one exactly when it is at some site. With two
    classes this is `maximum`; with more, that one can call nobody positive although a site is.
    """
    rest = np.delete(probs, positive, axis=-1).max(axis=-1)
    site = (probs[..., positive] - rest).argmax(axis=-1)[..., None, None]
    return np.take_along_axis(probs, site, axis=-2)[..., 0, :]


POOLS: dict[str, Pool] = {
    "mean": mean,
    "mean_logit": mean_logit,
    "max": maximum,
    "mean_max": mean_max,
    "noisy_or": noisy_or,
    "any_site": any_site,
}

if TYPE_CHECKING:
    PatientPool = str
else:
    PatientPool = Literal[tuple(POOLS)]
"""What `predict.crop_pool`, `predict.patient_pool` and a task's own `patient_pool` may name."""


def _with_positive(probs: np.ndarray, positive: int, value: np.ndarray) -> np.ndarray:
    pooled = probs.mean(axis=-2)
    rest = (pooled.sum(axis=-1) - pooled[..., positive])[..., None]
    others = pooled * (1 - value)[..., None]
    pooled = np.divide(others, rest, out=pooled, where=rest > 0)
    pooled[..., positive] = value
    return np.asarray(pooled / pooled.sum(axis=-1, keepdims=True))
