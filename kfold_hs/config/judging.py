"""Settings that only judging reads: no model depends on them."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from kfold_hs.config.base import NonNegative, Settings

FEWEST_RESAMPLES = 1000
FEWEST_OF_BANDS = 200
MOST_RESAMPLES = 100_000
MOST_SHOWN = 20


class Margins(Settings):
    """Half the width of the region of practical equivalence, in each metric's own units.

    Two variants that differ by less are as good as equal. Shares and scores in [0, 1]; nats for
    `log_loss`, the challenge's units for `cost`.

    accuracy : share of people who are called right
    balanced_accuracy : mean sensitivity of the classes
    weighted_accuracy : of the PhysioNet/CinC Challenge 2022
    macro_f1 : mean F1 of the classes
    sensitivity, specificity : of the positive class
    auroc, auprc : of the positive class
    macro_auroc, macro_auprc : mean over the classes
    brier : mean squared error of the probabilities
    log_loss : mean of -log of the label's probability
    ece : expected calibration error
    cost : of the PhysioNet/CinC Challenge 2022, a patient
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


class GalleryConfig(Settings):
    """The patients who are told worst, shown with their recordings in the report.

    patients : how many at most, of all tasks together; 0 for none
    audio : whether their sound is put into the run's folder and into the page
    seconds : the longest excerpt of a recording
    """

    patients: Annotated[int, Field(ge=0, le=MOST_SHOWN)] = 12
    audio: bool = True
    seconds: Annotated[float, Field(ge=1, le=10)] = 8.0


class JudgeConfig(Settings):
    """How results are judged.

    margins : half the widths of the regions of practical equivalence
    gallery : patients that the report shows with their recordings
    bca : resamples of the people for the intervals of these models, in place of the closed forms;
        0 for none
    band_resamples : resamples of the people for the bands of curves; 0 for curves without bands
    """

    margins: Margins = Margins()
    bca: Annotated[int, Field(ge=0, le=MOST_RESAMPLES)] = 0
    band_resamples: Annotated[int, Field(ge=0, le=MOST_RESAMPLES)] = 1000
    gallery: GalleryConfig = GalleryConfig()

    @pydantic.model_validator(mode="after")
    def _check(self) -> JudgeConfig:
        if 0 < self.bca < FEWEST_RESAMPLES:
            raise ValueError(
                f"judge.bca={self.bca} resamples cannot place an end at 2.5 %: give at least "
                f"{FEWEST_RESAMPLES}, or 0 to do without"
            )
        if 0 < self.band_resamples < FEWEST_OF_BANDS:
            raise ValueError(
                f"judge.band_resamples={self.band_resamples} resamples cannot place an end at "
                f"2.5 %: give at least {FEWEST_OF_BANDS}, or 0 to do without"
            )
        return self
