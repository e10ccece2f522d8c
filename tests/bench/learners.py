"""Small learners on simulated people, many data sets at once: what coverage is measured with.

A patient has a murmur (Present, Unknown, Absent) and an outcome (Abnormal, Normal) in the shares of
CirCor, and 16 features: Gaussian, with class means apart by the signal. A person has one patient,
or one to three whose features and labels are alike. New people of the same kind show what fold
models are worth. A second block of 16 features, of equal worth, is for another recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

N_FEATURES, N_NEW = 16, 400
SIGNALS = {"none": 0.0, "weak": 0.6, "mid": 1.2, "strong": 2.4}
"""Distance of two classes' means, in standard deviations of a feature."""
SHARES = (0.20, 0.08, 0.72)
ABNORMAL = (0.84, 0.63, 0.38)
CLASSES = {"murmur": 3, "outcome": 2}
ALIKE, SAME_LABELS = 0.5, 0.85
"""Of the patients of a person: correlation of their features, share who have the first's labels."""


@dataclass(frozen=True, eq=False)
class People:
    """D data sets of N patients.

    y : by task (D, N); x (D, N, blocks, d); person (N,), the same in all sets
    """

    y: dict[str, np.ndarray]
    x: np.ndarray
    person: np.ndarray


def draw(signal: str, n_sets: int, person: np.ndarray, rng: np.random.Generator) -> People:
    """Labels and features of the patients of `person` (N,), in two blocks of equal worth."""
    n, n_persons = len(person), int(person.max()) + 1
    first = np.unique(person, return_index=True)[1]
    murmur = rng.choice(3, size=(n_sets, n), p=SHARES)
    outcome = (rng.random((n_sets, n)) > np.array(ABNORMAL)[murmur]).astype(int)
    same = rng.random((n_sets, n)) < SAME_LABELS
    murmur = np.where(same, murmur[:, first][:, person], murmur)
    outcome = np.where(same, outcome[:, first][:, person], outcome)
    shape = (n_sets, n, 2, N_FEATURES)
    own = rng.standard_normal(shape)
    if n > n_persons:
        shared = rng.standard_normal((n_sets, n_persons, 2, N_FEATURES))[:, person]
        own = np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own
    # A feature's half tells murmur, the other outcome; each class has a direction of its own.
    half, apart = N_FEATURES // 2, SIGNALS[signal] / np.sqrt(2)
    for c in range(3):
        own[..., c] += apart * (murmur == c)[..., None]
    for c in range(2):
        own[..., half + c] += apart * (outcome == c)[..., None]
    return People({"murmur": murmur, "outcome": outcome}, own, person)


def folds(people: People, n_runs: int, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of every patient, (D, S, N): persons are dealt in turn, in the order of their labels."""
    first = np.unique(people.person, return_index=True)[1]
    label = (2 * people.y["murmur"] + people.y["outcome"])[:, first]
    keys = label[:, None] + rng.random((len(label), n_runs, len(first)))
    place = keys.argsort(axis=2).argsort(axis=2)
    return (place % n_folds)[:, :, people.person]


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], Callable]
"""(x (D, N, d), one-hot labels (D, N, C), whether trained on (D, N), draws) -> what predicts."""


def lda(x: np.ndarray, hot: np.ndarray, kept: np.ndarray, rng: np.random.Generator) -> Callable:
    """Linear discriminant analysis whose weights get a third of their size as noise."""
    hot = hot * kept[..., None]
    count = np.maximum(hot.sum(axis=1), 0.5)
    mean = hot.swapaxes(1, 2) @ x / count[..., None]
    trained = x * kept[..., None]
    inside = trained.swapaxes(1, 2) @ x - mean.swapaxes(1, 2) @ (count[..., None] * mean)
    inside /= np.maximum(count.sum(axis=1) - hot.shape[2], 1)[:, None, None]
    w = np.linalg.solve(inside, mean.swapaxes(1, 2))
    b = np.log(count) - (mean.swapaxes(1, 2) * w).sum(axis=1) / 2
    size = np.sqrt((w**2).mean(axis=(1, 2), keepdims=True))
    w = w + 0.35 * size * rng.standard_normal(w.shape)
    return lambda z: softmax(z @ w + b[:, None], axis=2)


def logistic(
    x: np.ndarray, hot: np.ndarray, kept: np.ndarray, rng: np.random.Generator, n_steps: int = 25
) -> Callable:
    """Ridge logistic regression, by the bound of its curvature (Boehning 1992); draws nothing."""
    one = np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2) * kept[..., None]
    penalty = np.eye(one.shape[2])
    penalty[-1, -1] = 1e-3
    w = np.zeros((len(x), one.shape[2], hot.shape[2]))
    bound = np.linalg.inv(one.swapaxes(1, 2) @ one / 2 + penalty)
    across = one.swapaxes(1, 2)
    for _ in range(n_steps):
        w += bound @ (across @ (hot - softmax(one @ w, axis=2)) - penalty @ w)
    return lambda z: softmax(z @ w[:, :-1] + w[:, -1:], axis=2)


def mlp(
    x: np.ndarray, hot: np.ndarray, kept: np.ndarray, rng: np.random.Generator, n_steps: int = 60
) -> Callable:
    """16 hidden units, dropout 0.3, Adam; of three classes, weights 3, 2 and 1 in the loss."""
    n_sets, n_classes, hidden = len(x), hot.shape[2], 16
    x, hot = x.astype(np.float32), hot.astype(np.float32)
    weigh = hot @ np.array([3, 2, 1] if n_classes == 3 else [1, 1], np.float32)
    weigh = weigh[..., None] * (kept / kept.sum(axis=1, keepdims=True, dtype=np.float32))[..., None]
    shapes = [(N_FEATURES, hidden), (1, hidden), (hidden, n_classes), (1, n_classes)]
    w = [
        rng.standard_normal((n_sets, *s), dtype=np.float32) * np.float32((s[0] > 1) / np.sqrt(s[0]))
        for s in shapes
    ]
    mean, square = [np.zeros_like(e) for e in w], [np.zeros_like(e) for e in w]
    for t in range(1, n_steps + 1):
        h = np.maximum(x @ w[0] + w[1], 0)
        on = (rng.random(h.shape, dtype=np.float32) > 0.3) / np.float32(0.7)
        out = weigh * (softmax((h * on) @ w[2] + w[3], axis=2) - hot)
        back = out @ w[2].swapaxes(1, 2) * on * (h > 0)
        slopes = [x.swapaxes(1, 2) @ back, back.sum(axis=1, keepdims=True),
                  (h * on).swapaxes(1, 2) @ out, out.sum(axis=1, keepdims=True)]  # fmt: skip
        for each, m, v, g in zip(w, mean, square, slopes, strict=True):
            m += 0.1 * (g - m)
            v += 0.01 * (g**2 - v)
            rate = np.float32(0.03 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t))
            each -= rate * m / (np.sqrt(v) + 1e-8)
    return lambda z: softmax(np.maximum(z @ w[0] + w[1], 0) @ w[2] + w[3], axis=2)


def random_features(
    x: np.ndarray, hot: np.ndarray, kept: np.ndarray, rng: np.random.Generator
) -> Callable:
    """A hidden layer of 40 units drawn anew for each training, under a ridge regression f.

    softmax(2 f) is on a likelihood's scale, about; softmax(5 f) makes the same calls and is not.
    """
    w = rng.standard_normal((len(x), N_FEATURES, 40)) / np.sqrt(N_FEATURES)
    b = rng.standard_normal((len(x), 1, 40)) / 2

    def raised(z: np.ndarray) -> np.ndarray:
        h = np.maximum(z @ w + b, 0)
        return np.concatenate([h, np.ones((*h.shape[:2], 1))], axis=2)

    h = raised(x) * kept[..., None]
    penalty = 20 * np.eye(h.shape[2])
    penalty[-1, -1] = 1e-6
    v = np.linalg.solve(h.swapaxes(1, 2) @ h + penalty, h.swapaxes(1, 2) @ hot)
    return lambda z: softmax(2 * raised(z) @ v, axis=2)


def nearest(x: np.ndarray, hot: np.ndarray, kept: np.ndarray, rng: np.random.Generator) -> Callable:
    """The label of the nearest trained one, told as certain; draws nothing."""
    far = np.where(kept, (x**2).sum(axis=2), np.inf)

    def predict(z: np.ndarray) -> np.ndarray:
        closest = (far[:, None] - 2 * z @ x.swapaxes(1, 2)).argmin(axis=2)
        return np.take_along_axis(hot, closest[..., None], axis=1)

    return predict


LEARNERS: dict[str, Fit] = {
    "LDA": lda, "logistic": logistic, "MLP": mlp, "random features": random_features,
    "1-NN": nearest,
}  # fmt: skip


DRAW_NOTHING = ("logistic", "1-NN")
"""Trained again on the same folds, they are the same."""


@dataclass(frozen=True, eq=False)
class Told:
    """What the fold models of D data sets say: oof by task (D, S, N, C), new (D, 1, K, M, C).

    Models of all runs are alike, so that those of the first are enough to say what they are worth.
    """

    oof: dict[str, np.ndarray]
    new: dict[str, np.ndarray]


def tell(
    learner: str, people: People, strangers: People | None, fold: np.ndarray, block: int,
    rng: np.random.Generator,
) -> Told:  # fmt: skip
    """Fold models of one block of the features, asked about the held-out people and strangers."""
    fit, x = LEARNERS[learner], people.x[:, :, block]
    z = x[:, :0] if strangers is None else strangers.x[:, :, block]
    n_sets, n_runs, n = fold.shape
    n_folds = int(fold.max()) + 1
    oof, new = {}, {}
    for task, n_classes in CLASSES.items():
        hot = np.eye(n_classes)[people.y[task]]
        found = np.empty((n_sets, n_runs, n, n_classes))
        told = np.empty((n_sets, 1, n_folds, z.shape[1], n_classes))
        for s in range(n_runs):
            for k in range(n_folds):
                out = fold[:, s] == k
                predict = fit(x, hot, ~out, rng)
                found[:, s][out] = predict(x)[out]
                if s == 0:
                    told[:, 0, k] = predict(z)
        oof[task], new[task] = found, told
    return Told(oof, new)
