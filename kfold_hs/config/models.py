"""Settings of the network: `model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import Field

from kfold_hs.config.backbones import BackboneSource, find_source, is_place
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

    backbone : a name of timm's, or a place with a network in timm's form: hf-hub:OWNER/NAME,
        local-dir:FOLDER
    weights : `package`: of the extra `weights` (EfficientNet-Lite0 only); `hub`: of timm; `file`:
        `weights_file`; `source`: of the place that backbone names; `none`: trained from scratch
    weights_file : a file of weights, with weights=file
    drop_path : stochastic depth (Huang et al. 2016)
    pool : over bands and time; `backbone`: as the backbone does
    source : what the place that backbone names holds; found, not set
    """

    kind: Literal["timm"] = "timm"
    backbone: str
    weights: Literal["none", "hub", "file", "package", "source"]
    weights_file: Path | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pool: Literal["backbone", "avg", "max", "gem", "attention"] = "backbone"
    source: BackboneSource | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _find_source(cls, values: Any) -> Any:
        """Look into the place, unless that was done when these settings were written."""
        if not isinstance(values, dict):
            return values
        backbone, source = values.get("backbone"), values.get("source")
        if not is_place(backbone):
            return {**values, "source": None}
        known = source.get("name") if isinstance(source, dict) else getattr(source, "name", None)
        return values if known == backbone else {**values, "source": find_source(str(backbone))}

    @pydantic.model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if (self.weights == "file") != (self.weights_file is not None):
            raise ValueError(
                "model.weights=file and model.weights_file=PATH go together: "
                f"weights is {self.weights!r} and weights_file is {self.weights_file}"
            )
        if self.source is None and self.weights == "source":
            raise ValueError(
                "model.weights=source are those of the place that model.backbone names, and "
                f"model.backbone={self.backbone} names none: hf-hub:OWNER/NAME or local-dir:FOLDER"
            )
        if self.source is not None and self.weights not in {"source", "none"}:
            raise ValueError(
                f"model.backbone={self.backbone} brings its weights along, and model.weights="
                f"{self.weights} names others: leave model.weights out; none trains from scratch"
            )
        return self

    @property
    def architecture(self) -> str:
        """Its name in timm."""
        return self.backbone if self.source is None else self.source.architecture


MODELS = Registry(
    "model", NetworkConfig, {"timm": Row(ModelConfig), "linear": Row(LinearConfig)}, default="timm"
)
"""Kind -> its settings; what makes a network of them is in `kfold_hs.learn.models`."""

if TYPE_CHECKING:
    AnyModel = NetworkConfig
else:
    AnyModel = one_of(MODELS)
