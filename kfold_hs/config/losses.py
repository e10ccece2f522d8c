"""Losses: the settings of each, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kfold_hs.config.base import Choice, NonNegative
from kfold_hs.config.registry import Registry, Row, one_of


class LossConfig(Choice):
    """What every loss is set by; see `kfold_hs.learn.losses`.

    label_smoothing : share of a label that is spread over the other classes
    effective_beta : of class_weights=effective; the nearer to 1, the more rare classes weigh
    class_weights : `task`: as the data configuration states; `balanced` and `effective` (with
        `effective_beta`; Cui et al. 2019): by the training people of the fold; `challenge`: those
        of its weighted accuracy
    ordinal_smoothing : whether `label_smoothing` goes to neighbouring classes only
    task_weights : a task that is not named has 1
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    class_weights: Literal["none", "task", "balanced", "effective", "challenge"] = "task"
    effective_beta: Annotated[float, Field(ge=0, lt=1)] = 0.99
    ordinal_smoothing: bool = False
    task_weights: dict[str, NonNegative] = Field(default_factory=dict)


class CrossEntropyConfig(LossConfig):
    """Cross-entropy."""

    kind: Literal["cross_entropy"] = "cross_entropy"


class FocalConfig(LossConfig):
    """Focal loss (Lin et al. 2017).

    gamma : how much less a sure prediction counts; 0: cross-entropy
    """

    kind: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=0, le=10)] = 2.0


LOSSES = Registry(
    "loss", LossConfig, {"cross_entropy": Row(CrossEntropyConfig), "focal": Row(FocalConfig)}
)
"""Name -> its settings; the function is in `kfold_hs.learn.losses.COSTS`, since it takes torch."""

if TYPE_CHECKING:
    AnyLoss = LossConfig
else:
    AnyLoss = one_of(LOSSES)
