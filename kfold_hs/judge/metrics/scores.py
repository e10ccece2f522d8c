"""Metrics of one task, for many weightings of the patients at once.

Every metric is a function of

    y_true   (n,) int          class index of each patient
    y_prob   (n, C) float      probabilities, rows sum to 1
    positive int               index of the positive class
    weights  (B, n) float      how often each patient counts, one row a resample

and gives (B,) values; NaN where a resample holds no patient of a class that the metric
needs. Weights are multiplicities: weight 2 is the same as the patient standing twice.
The predicted class is the most probable one.

`Metric` says how reports treat one: its gradient (see `gradients`), whether it is taken in each
fold and averaged, and its scale. Metrics that rank patients are taken by fold, since the scores
of two models need not be comparable (Forman & Scholz, SIGKDD Explorations 12(1), 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kfold_hs.judge.metrics import gradients
from kfold_hs.judge.metrics.bounds import SHARE, Bounds
from kfold_hs.judge.metrics.counts import SMALLEST, by_score, called, one_hot, ratio, right

ECE_BINS = 15
BIASED = (
    "no interval: few people a bin push a calibration error up, and no interval around it holds "
    "the true one; the calibration curve, Brier score and log loss have intervals"
)

MetricFunction = Callable[[np.ndarray, np.ndarray, int, np.ndarray], np.ndarray]


def accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Share of patients whose most probable class is their label."""
    return ratio(weights @ right(y_true, y_prob), weights.sum(axis=1))


def balanced_accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the classes of the share recognised."""
    true_positive, _, support = _counts(y_true, y_prob, weights)
    return np.asarray(ratio(true_positive, support).mean(axis=1))


def macro_f1(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the classes of 2 TP / (2 TP + FP + FN)."""
    true_positive, predicted, support = _counts(y_true, y_prob, weights)
    return np.asarray(ratio(2 * true_positive, predicted + support).mean(axis=1))


def auroc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive scores above a negative, ties counting half."""
    levels = by_score(y_true == positive, y_prob[:, positive], weights)
    of_positive, of_negative = levels.of_positive, levels.of_negative
    below = np.cumsum(of_negative, axis=1) - of_negative
    pairs = (of_positive * (below + of_negative / 2)).sum(axis=1)
    return ratio(pairs, of_positive.sum(axis=1) * of_negative.sum(axis=1))


def auprc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Average precision: precision at each distinct score, weighted by the recall it adds."""
    levels = by_score(y_true == positive, y_prob[:, positive], weights)
    of_positive, of_negative = levels.of_positive, levels.of_negative
    found = np.cumsum(of_positive[:, ::-1], axis=1)
    called = found + np.cumsum(of_negative[:, ::-1], axis=1)
    # Before the first patient that counts nothing is called, and nothing is added.
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return ratio((precision * of_positive[:, ::-1]).sum(axis=1), of_positive.sum(axis=1))


def brier(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Mean over the patients of the squared error summed over the classes (Brier 1950).

    In [0, 2]; for two classes twice the value of the one-class form.
    """
    error = ((y_prob - np.eye(y_prob.shape[1])[y_true]) ** 2).sum(axis=1)
    return ratio(weights @ error, weights.sum(axis=1))


def log_loss(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the patients of -ln(probability of their class), at least 0.

    Probabilities below the spacing of float64 at 1 count as that, about 36 nats.
    """
    of_class = y_prob[np.arange(len(y_true)), y_true]
    return ratio(weights @ -np.log(np.maximum(of_class, SMALLEST)), weights.sum(axis=1))


def ece(n_bins: int = ECE_BINS) -> MetricFunction:
    """Expected calibration error: mean over the patients of |accuracy - confidence| of their bin.

    Bins of equal width over the probability of the most probable class (Guo et al., ICML
    2017). In [0, 1]. Few patients a bin push it up.
    """

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        confidence = y_prob.max(axis=1)
        number = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
        gap = right(y_true, y_prob) - confidence
        by_bin = weights @ (np.eye(n_bins)[number] * gap[:, None])
        return ratio(np.abs(by_bin).sum(axis=1), weights.sum(axis=1))

    return metric


def sensitivity(threshold: float | None = None) -> MetricFunction:
    """Share of the positives called so: by the most probable class, or from a threshold on."""

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        is_positive = y_true == positive
        hit = is_positive & called(y_prob, positive, threshold)
        return ratio(weights @ hit, weights @ is_positive)

    return metric


def specificity(threshold: float | None = None) -> MetricFunction:
    """Share of the negatives not called positive."""

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        is_negative = y_true != positive
        spared = is_negative & ~called(y_prob, positive, threshold)
        return ratio(weights @ spared, weights @ is_negative)

    return metric


def precision(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Share of those called positive, by the most probable class, who are."""
    is_called = called(y_prob, positive, None)
    return ratio(weights @ (is_called & (y_true == positive)), weights @ is_called)


def macro(metric: MetricFunction) -> MetricFunction:
    """Mean over the classes of a metric of one class against the rest."""

    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        each = [metric(y_true, y_prob, c, weights) for c in range(y_prob.shape[1])]
        return np.asarray(np.mean(each, axis=0))

    return function


def weighted_accuracy(costs: Sequence[float]) -> MetricFunction:
    """Accuracy in which a patient counts by the weight of their class."""

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        by_class = weights * np.asarray(costs, dtype=np.float64)[y_true]
        return accuracy(y_true, y_prob, positive, by_class)

    return metric


@dataclass(frozen=True)
class Metric:
    """A metric as reports show it.

    function        values of many weightings at once, see above
    margin          half the width of the region of practical equivalence, in the metric's own
                    units, where the configuration (`judge.margins`) names no other
    gradient        d value / d weight; without it the jackknife stands in
    by_fold         taken in every fold and averaged, not over a whole run at once; a function of
                    the rows it is given, so that a fold's alone may be given
    is_proportion   a plain share of all patients, who all count alike
    bounds          the lowest and the highest value that there can be
    fewest_classes  tasks of fewer classes do not have it
    plugin          module that added it; only runs that name it have it
    unbiased        a gradient whose squares add up to a variance that few patients of a class in
                    a fold do not make too small
    needs           "decisions", where only the most probable class counts; "ranks", where only the
                    order of the patients does; else "probabilities"
    no_interval     why no interval can be had, "" where one can
    sides           classes whose people it has means over: "positive", "negative", "both", "each",
                    "weighted" (each, and defined without), "" for none
    """

    name: str
    label: str
    function: MetricFunction
    margin: float
    higher_is_better: bool = True
    gradient: gradients.Gradient | None = None
    by_fold: bool = False
    is_proportion: bool = False
    bounds: Bounds = SHARE
    fewest_classes: int = 2
    unbiased: gradients.Gradient | None = None
    plugin: str = ""
    needs: str = "probabilities"
    no_interval: str = ""
    sides: str = ""

    @property
    def is_share(self) -> bool:
        """Lies in [0, 1]: intervals are made on the logit scale."""
        return self.bounds == SHARE

    def __call__(
        self,
        y_true: np.ndarray,
        y_prob: np.ndarray,
        positive: int,
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Values, shape (B,); without weights every patient counts once and B is 1."""
        if weights is None:
            weights = np.ones((1, len(y_true)))
        return self.function(y_true, y_prob, positive, weights)


ACCURACY = Metric(
    "accuracy",
    "accuracy",
    accuracy,
    0.01,
    gradient=gradients.accuracy,
    is_proportion=True,
    needs="decisions",
)
"""What reports and comparisons lead with: the mean of the tasks'."""

_ALL = (
    ACCURACY,
    Metric(
        "balanced_accuracy", "balanced accuracy", balanced_accuracy, 0.01,
        gradient=gradients.balanced_accuracy, needs="decisions", sides="each",
    ),
    Metric(
        "macro_f1", "macro F1", macro_f1, 0.01, gradient=gradients.macro_f1, needs="decisions",
        sides="each",
    ),
    Metric(
        "sensitivity", "sensitivity", sensitivity(), 0.01, gradient=gradients.sensitivity(None),
        needs="decisions", sides="positive",
    ),
    Metric(
        "specificity", "specificity", specificity(), 0.01, gradient=gradients.specificity(None),
        needs="decisions", sides="negative",
    ),
    Metric(
        "auroc", "AUROC", auroc, 0.01, gradient=gradients.auroc, by_fold=True,
        unbiased=gradients.by_class(gradients.auroc), needs="ranks", sides="both",
    ),
    Metric(
        "auprc", "AUPRC", auprc, 0.01, gradient=gradients.auprc, by_fold=True,
        unbiased=gradients.by_class(gradients.auprc), needs="ranks", sides="both",
    ),
    Metric(
        "brier", "Brier score", brier, 0.01, higher_is_better=False, gradient=gradients.brier,
        bounds=(0.0, 2.0),
    ),
    Metric(
        "log_loss", "log loss", log_loss, 0.02, higher_is_better=False,
        gradient=gradients.log_loss, bounds=(0.0, float(-np.log(SMALLEST))),
    ),
    Metric(
        "ece", "calibration error (ECE)", ece(), 0.01, higher_is_better=False,
        gradient=gradients.ece(ECE_BINS), no_interval=BIASED,
    ),
    # For two classes AUROC is the same from either side, and these would say nothing new.
    Metric(
        "macro_auroc", "AUROC, mean of classes", macro(auroc), 0.01, by_fold=True,
        gradient=gradients.macro(gradients.auroc), fewest_classes=3,
        unbiased=gradients.macro(gradients.by_class(gradients.auroc)), needs="ranks",
        sides="each",
    ),
    Metric(
        "macro_auprc", "AUPRC, mean of classes", macro(auprc), 0.01, by_fold=True,
        gradient=gradients.macro(gradients.auprc), fewest_classes=3,
        unbiased=gradients.macro(gradients.by_class(gradients.auprc)), needs="ranks",
        sides="each",
    ),
)  # fmt: skip
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Metrics of any task, by name; a metric is a row here and nothing elsewhere."""


def _counts(
    y_true: np.ndarray, y_prob: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, predicted and actual number of every class, each (B, C)."""
    actual, predicted = one_hot(y_true, y_prob)
    return weights @ (actual * predicted), weights @ predicted, weights @ actual
