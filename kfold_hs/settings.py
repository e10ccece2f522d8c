"""Settings of a run as frozen types: every key, its type and its bounds.

The values come from `configs/` by way of `kfold_hs.config`; a value out of its bounds
or an unknown key never gets past these.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from omegaconf import OmegaConf
from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]

# What `predict.patient_pool` and a task's own `patient_pool` may name (learn/pool.py).
PatientPool = Literal["mean", "max", "mean_max"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TaskConfig(_Settings):
    """One task: its classes and what training and pooling take from it."""

    classes: tuple[str, ...] = Field(min_length=2)
    positive: str | None = None
    class_weights: tuple[Positive, ...] | None = None
    patient_pool: PatientPool = "mean"
    column: str | None = None
    recording_column: str | None = None


class _Data(_Settings):
    tasks: dict[str, TaskConfig] = Field(min_length=1)
    aliases: Path | None = None


class SyntheticData(_Data):
    """The built-in cohort of simulated phonocardiograms."""

    kind: Literal["synthetic"]
    n_patients: Annotated[int, Field(ge=10, le=100_000)] = 120
    seed: NonNegativeInt = 0


class CircorData(_Data):
    """CirCor DigiScope in its official layout, WAV or FLAC."""

    kind: Literal["circor"]
    root: Path


class Cinc2016Data(_Data):
    """PhysioNet/CinC Challenge 2016 in its official layout."""

    kind: Literal["cinc2016"]
    root: Path


class TableData(_Data):
    """A user's CSV, one row a recording."""

    kind: Literal["table"]
    path: Path
    recording_column: str = "recording"
    patient_column: str = "patient_id"
    person_column: str | None = None
    site_column: str | None = None
    channel: NonNegativeInt | None = None


class FeatureConfig(_Settings):
    """Log-mel spectrogram; see `kfold_hs.learn.features`."""

    sample_rate_hz: Annotated[int, Field(ge=100, le=192_000)]
    window_s: Annotated[float, Field(gt=0, le=1)]
    hop_s: Annotated[float, Field(gt=0, le=1)]
    n_fft: Annotated[int, Field(ge=16, le=65_536)]
    n_mels: Annotated[int, Field(ge=4, le=512)]
    f_min_hz: NonNegative
    f_max_hz: Positive
    normalise: Literal["recording", "none"]

    @pydantic.model_validator(mode="after")
    def _check(self) -> FeatureConfig:
        if self.f_max_hz > self.sample_rate_hz / 2:
            raise ValueError(
                f"features.f_max_hz={self.f_max_hz:g} is above half of "
                f"features.sample_rate_hz={self.sample_rate_hz}; at most "
                f"{self.sample_rate_hz / 2:g} Hz can be seen"
            )
        if self.f_min_hz >= self.f_max_hz:
            raise ValueError(
                f"features.f_min_hz={self.f_min_hz:g} must be below "
                f"features.f_max_hz={self.f_max_hz:g}"
            )
        if self.window_samples > self.n_fft:
            raise ValueError(
                f"features.n_fft={self.n_fft} is shorter than the window of "
                f"{self.window_samples} samples; raise n_fft or shorten features.window_s"
            )
        if self.hop_samples < 1 or self.window_samples < 2:
            raise ValueError("features.window_s and features.hop_s must each span a sample")
        return self

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)

    @property
    def hop_samples(self) -> int:
        return round(self.hop_s * self.sample_rate_hz)


class ModelConfig(_Settings):
    """A timm backbone with one linear head a task; see `kfold_hs.learn.models`."""

    backbone: str
    weights: Literal["none", "hub", "file", "package"]
    weights_file: Path | None = None
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @pydantic.model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if (self.weights == "file") != (self.weights_file is not None):
            raise ValueError(
                "model.weights=file and model.weights_file=PATH go together: "
                f"weights is {self.weights!r} and weights_file is {self.weights_file}"
            )
        return self


class CrossEntropyConfig(_Settings):
    """Cross-entropy; see `kfold_hs.learn.losses`."""

    kind: Literal["cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "task", "balanced"]


class FocalConfig(_Settings):
    """Focal loss; see `kfold_hs.learn.losses`."""

    kind: Literal["focal"]
    gamma: Annotated[float, Field(ge=0, le=10)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: Literal["none", "task", "balanced"]


class OptimConfig(_Settings):
    """AdamW (Loshchilov & Hutter 2019)."""

    lr: Annotated[float, Field(gt=0, le=10)]
    weight_decay: NonNegative
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]


class OneCycleConfig(_Settings):
    """One cycle; see `kfold_hs.learn.schedules.onecycle`."""

    kind: Literal["onecycle"]
    pct_start: Annotated[float, Field(gt=0, lt=1)]
    div_factor: Annotated[float, Field(ge=1)]
    final_div_factor: Annotated[float, Field(ge=1)]


class CosineConfig(_Settings):
    """Cosine annealing after a warm-up; see `kfold_hs.learn.schedules.cosine`."""

    kind: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    final_ratio: Share


class AugmentConfig(_Settings):
    """Mixup and SpecAugment; see `kfold_hs.learn.augment`."""

    mixup_alpha: NonNegative
    time_masks: NonNegativeInt
    time_mask_frames: NonNegativeInt
    band_masks: NonNegativeInt
    band_mask_bands: NonNegativeInt


class TrainConfig(_Settings):
    """The training loop; see `kfold_hs.learn.fit`."""

    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Annotated[int, Field(ge=2, le=65_536)]
    crop_frames: Annotated[int, Field(ge=16, le=100_000)]
    crops_per_recording: Annotated[int, Field(ge=1, le=1000)]
    site_labels: bool
    sampling: str
    grad_clip: NonNegative
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    precision: Literal["auto", "float32", "bfloat16"]


class SplitConfig(_Settings):
    """Persons into folds; see `kfold_hs.splits`."""

    n_folds: Annotated[int, Field(ge=1, le=1000)]
    n_repeats: Annotated[int, Field(ge=1, le=1000)]
    stratify: Literal["auto"] | tuple[str, ...]
    test: float | tuple[str, ...]
    by: Literal["person", "patient"]
    audit: bool
    file: Path | None = None

    @pydantic.field_validator("test", "stratify", mode="before")
    @classmethod
    def _number_or_names(cls, value: Any, field: pydantic.ValidationInfo) -> Any:
        if isinstance(value, list | tuple):
            return tuple(str(each) for each in value)
        if field.field_name == "stratify" and value != "auto":
            raise ValueError(
                f"split.stratify={value!r} does not fit: auto, or a list of covariates such as "
                "[age,sex], or [] for none"
            )
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if field.field_name == "test" and not (is_number and 0 <= value <= 0.9):
            raise ValueError(
                f"split.test={value!r} does not fit: a share of the persons from 0 to 0.9, or a "
                "list of person or patient ids such as [85033,49627]"
            )
        return value

    @pydantic.model_validator(mode="after")
    def _check(self) -> SplitConfig:
        if self.n_folds < 2 and self.file is None:
            raise ValueError(
                f"split.n_folds={self.n_folds} does not fit: at least 2; a single split into "
                "training and validation comes from split.file=FILE"
            )
        return self


class PredictConfig(_Settings):
    """From crops to a patient; see `kfold_hs.learn.pool`."""

    crop_overlap: Annotated[float, Field(ge=0, le=0.9)]
    batch_size: PositiveInt
    patient_pool: Literal["task", "mean", "max", "mean_max"]


DataConfig = Annotated[
    SyntheticData | CircorData | Cinc2016Data | TableData, Field(discriminator="kind")
]
LossConfig = Annotated[CrossEntropyConfig | FocalConfig, Field(discriminator="kind")]
SchedConfig = Annotated[OneCycleConfig | CosineConfig, Field(discriminator="kind")]


class Config(_Settings):
    """Everything that decides the result of a run, apart from the recordings."""

    data: DataConfig
    features: FeatureConfig
    model: ModelConfig
    loss: LossConfig
    optim: OptimConfig
    sched: SchedConfig
    augment: AugmentConfig
    train: TrainConfig
    split: SplitConfig
    predict: PredictConfig
    recipe: str
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    select: Literal["last", "best"]
    target: Annotated[float, Field(gt=0, lt=1)]

    def as_dict(self) -> dict[str, Any]:
        """Plain values (str, int, float, bool, list, dict), as the YAML has them."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        return OmegaConf.to_yaml(OmegaConf.create(self.as_dict()))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what decides the predictions.

        Where the data lie is left out (the cohort's fingerprint says what they are), and
        so is the target, which only the report reads.
        """
        values = self.as_dict()
        values.pop("target")
        for key in ("root", "path", "aliases"):
            values["data"].pop(key, None)
        for key in ("file", "audit"):
            values["split"].pop(key)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
