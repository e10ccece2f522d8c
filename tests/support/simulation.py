"""Data sets of Gaussian patients and linear fold models, many at once, with the exact truth.

A patient of class c is N(mean_c, I) in `n_features`; a fold model is linear discriminant analysis
of the training patients, whose weights get noise for the random draws of a training. For two
classes the true accuracy, weighted accuracy and AUROC of a fold model are closed-form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from scipy.stats import norm


@dataclass(frozen=True)
class World:
    """What patients are like: shares of the classes, distance of their means, unsteadiness."""

    shares: tuple[float, ...] = (0.2, 0.8)
    distance: float = 1.6
    n_features: int = 16
    noise: float = 0.35  # of the weights, in units of their size
    offset_noise: float = 0.0  # of the scores' offsets

    def means(self) -> np.ndarray:
        """(C, d): classes in different directions, half of the distance in each feature half."""
        found = np.zeros((len(self.shares), self.n_features))
        half = self.n_features // 2
        for c in range(len(self.shares) - 1):
            found[c, [c, half + c]] = self.distance / np.sqrt(2)
        return found


@dataclass(frozen=True)
class Drawn:
    """D data sets: y (D, n), x (D, n, d), fold (D, S, n)."""

    y: np.ndarray
    x: np.ndarray
    fold: np.ndarray
    n_folds: int


@dataclass(frozen=True)
class Trained:
    """prob (D, S, n, C) out of fold; weights (D, S, K, d, C) and offsets (D, S, K, C)."""

    prob: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray


def draw(
    world: World, rng: np.random.Generator, n_sets: int, n: int, n_runs: int = 3, n_folds: int = 5
) -> Drawn:
    y = rng.choice(len(world.shares), size=(n_sets, n), p=world.shares)
    x = world.means()[y] + rng.standard_normal((n_sets, n, world.n_features))
    # Stratified: patients ordered by class, at random within it, are dealt to the folds in turn.
    keys = y[:, None] + rng.random((n_sets, n_runs, n))
    fold = keys.argsort(axis=2).argsort(axis=2) % n_folds
    return Drawn(y, x, fold, n_folds)


def train(
    world: World, drawn: Drawn, rng: np.random.Generator, features: slice | None = None
) -> Trained:
    """Fold models of all data sets; `features` is what a variant looks at."""
    n_sets, n_runs, n = drawn.fold.shape
    n_classes, d = len(world.shares), world.n_features
    seen = np.zeros(d, dtype=bool)
    seen[features or slice(None)] = True
    hot = np.eye(n_classes)[drawn.y]
    shape = (n_sets, n_runs, drawn.n_folds)
    weights, offsets = np.zeros((*shape, d, n_classes)), np.zeros((*shape, n_classes))
    prob = np.empty((n_sets, n_runs, n, n_classes))
    x = drawn.x[:, :, seen]
    scatter = x.swapaxes(1, 2) @ x
    for s in range(n_runs):
        for k in range(drawn.n_folds):
            out = drawn.fold[:, s] == k
            rows = x[np.nonzero(out)].reshape(n_sets, -1, x.shape[2]) if _even(out) else None
            held = rows if rows is not None else x * out[:, :, None]
            kept = hot * ~out[:, :, None]
            count = kept.sum(axis=1)
            mean = kept.swapaxes(1, 2) @ x / count[:, :, None]
            inside = scatter - held.swapaxes(1, 2) @ held
            inside -= mean.swapaxes(1, 2) @ (count[:, :, None] * mean)
            inside /= (count.sum(axis=1) - n_classes)[:, None, None]
            w = np.linalg.solve(inside, mean.swapaxes(1, 2))
            b = np.log(count) - (mean * w.swapaxes(1, 2)).sum(axis=2) / 2
            size = np.sqrt((w**2).mean(axis=(1, 2), keepdims=True))
            w = w + world.noise * size * rng.standard_normal(w.shape)
            b = b + world.offset_noise * rng.standard_normal(b.shape)
            weights[:, s, k, seen], offsets[:, s, k] = w, b
            score = x @ w + b[:, None]
            prob[:, s][out] = softmax(score[out], axis=1)
    return Trained(prob, weights, offsets)


def _even(out: np.ndarray) -> bool:
    return len(set(out.sum(axis=1).tolist())) == 1


def truth(world: World, trained: Trained, cost: float = 5.0) -> dict[str, np.ndarray]:
    """True accuracy, weighted accuracy (positives cost times) and AUROC of fold models, (D, S, K).

    For two classes, of which 0 is the positive one.
    """
    w = trained.weights[..., 0] - trained.weights[..., 1]
    b = trained.offsets[..., 0] - trained.offsets[..., 1]
    spread = np.sqrt((w**2).sum(axis=-1))
    means, p = world.means(), world.shares[0]
    hit, spared = norm.cdf((w @ means[0] + b) / spread), norm.cdf(-(w @ means[1] + b) / spread)
    return {
        "accuracy": p * hit + (1 - p) * spared,
        "weighted_accuracy": (cost * p * hit + (1 - p) * spared) / (cost * p + 1 - p),
        "auroc": norm.cdf(w @ (means[0] - means[1]) / (spread * np.sqrt(2))),
    }
