"""Settings that only judging reads: no model depends on them."""

from __future__ import annotations

from kfold_hs.settings.base import NonNegative, Settings


class Margins(Settings):
    """Half the width of the region of practical equivalence, in each metric's own units.

    Two variants that differ by less are as good as equal. Shares and scores in [0, 1]; nats for
    `log_loss`, the challenge's units for `cost`.
    """

    accuracy: NonNegative = 0.01
    balanced_accuracy: NonNegative = 0.01
    weighted_accuracy: NonNegative = 0.01
    macro_f1: NonNegative = 0.01
    sensitivity: NonNegative = 0.01
    specificity: NonNegative = 0.01
    auroc: NonNegative = 0.01
    macro_auroc: NonNegative = 0.01
    auprc: NonNegative = 0.01
    macro_auprc: NonNegative = 0.01
    brier: NonNegative = 0.01
    log_loss: NonNegative = 0.02
    ece: NonNegative = 0.01
    cost: NonNegative = 200.0


class JudgeConfig(Settings):
    """How results are judged."""

    margins: Margins = Margins()
