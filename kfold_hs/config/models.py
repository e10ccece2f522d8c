"""Settings of the network: `model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import pydantic
from pydantic import Field

from kfold_hs.config.base import Choice
from kfold_hs.config.registry import Registry, Row, one_of


class NetworkConfig(Choice):
    """What every network is asked."""

    if TYPE_CHECKING:
        covariates: tuple[str, ...]
        heads: str
        deltas: int


class WholeNetworkConfig(NetworkConfig):
    """A plug-in's network, from crops to logits by task."""

    covariates: ClassVar[tuple[str, ...]] = ()  # type: ignore[misc]
    heads: ClassVar[str] = "separate"  # type: ignore[misc]
    deltas: ClassVar[int] = 0  # type: ignore[misc]


class BackboneConfig(NetworkConfig):
    """From crops to an embedding, with what the package puts on it.

    hidden : size of the hidden layer before the heads; 0: none
    dropout : share of the embedding that is left out in training
    covariates : of the patient, beside the sound, e.g. [age, sex, height_cm, weight_kg]
    heads : `separate`: a linear head a task; `binary`: a sigmoid for each of a task's classes but
        the last, the positive one first; `joint`: one head over all combinations of their classes
    deltas : time derivatives beside the features, as further channels
    """

    hidden: Annotated[int, Field(ge=0, le=8192)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    covariates: tuple[str, ...] = ()
    heads: Literal["separate", "binary", "joint"] = "separate"
    deltas: Literal[0, 1, 2] = 0


class LinearConfig(BackboneConfig):
    """The mean over the frames, for a linear head on embeddings that an encoder gives."""

    kind: Literal["linear"] = "linear"


class ModelConfig(BackboneConfig):
    """A timm backbone with one linear head a task; see `kfold_hs.learn.models.network`.

    backbone : a name of timm, such as efficientnet_b0, or of the package
    weights : `package`: of the extra `weights` (EfficientNet-Lite0 only); `hub`: of timm; `file`:
        `weights_file`; `none`: trained from scratch
    weights_file : a file of weights, with weights=file
    drop_path : stochastic depth (Huang et al. 2016)
    pool : over bands and time; `backbone`: as the backbone does
    """

    kind: Literal["timm"] = "timm"
    backbone: str
    weights: Literal["none", "hub", "file", "package"]
    weights_file: Path | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pool: Literal["backbone", "avg", "max", "gem", "attention"] = "backbone"

    @pydantic.model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if (self.weights == "file") != (self.weights_file is not None):
            raise ValueError(
                "model.weights=file and model.weights_file=PATH go together: "
                f"weights is {self.weights!r} and weights_file is {self.weights_file}"
            )
        return self


MODELS = Registry(
    "model", NetworkConfig, {"timm": Row(ModelConfig), "linear": Row(LinearConfig)}, default="timm"
)
"""Kind -> its settings; what makes a network of them is in `kfold_hs.learn.models`."""

if TYPE_CHECKING:
    AnyModel = NetworkConfig
else:
    AnyModel = one_of(MODELS)
