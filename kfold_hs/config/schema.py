"""Settings of a run as frozen types: every key, its type and its bounds.

The values come from `configs/` by way of `kfold_hs.config.compose`; a value out of its bounds
or an unknown key never gets past these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from omegaconf import OmegaConf
from pydantic import Field

from kfold_hs.config import plugins
from kfold_hs.config.base import Settings
from kfold_hs.config.data import (
    DATA,
    BmdHsData,
    Cinc2016Data,
    CircorData,
    DataConfig,
    SplitConfig,
    SyntheticData,
    TableData,
    TaskConfig,
    TaskMap,
    ZchSoundData,
)
from kfold_hs.config.digests import decisive, sha256_of
from kfold_hs.config.features import FEATURES, AnyFeatures, FeatureConfig, FeatureSettings
from kfold_hs.config.frames import FramesConfig
from kfold_hs.config.judging import GalleryConfig, JudgeConfig, Margins
from kfold_hs.config.losses import LOSSES, AnyLoss
from kfold_hs.config.models import MODELS, AnyModel, ModelConfig, NetworkConfig
from kfold_hs.config.plugins import Plugin
from kfold_hs.config.schedules import SCHEDULES, AnySchedule
from kfold_hs.config.training import (
    AUGMENTATIONS,
    AugmentConfig,
    DeviceKind,
    OptimConfig,
    PredictConfig,
    TrainConfig,
)
from kfold_hs.errors import counted

__all__ = [
    "AugmentConfig",
    "BmdHsData",
    "Cinc2016Data",
    "CircorData",
    "Config",
    "DataConfig",
    "FeatureConfig",
    "FeatureSettings",
    "FramesConfig",
    "GalleryConfig",
    "JudgeConfig",
    "Margins",
    "ModelConfig",
    "NetworkConfig",
    "OptimConfig",
    "PredictConfig",
    "SplitConfig",
    "SyntheticData",
    "TableData",
    "TaskConfig",
    "TaskMap",
    "TrainConfig",
    "ZchSoundData",
]


MEAN_ACCURACY = "mean.accuracy"
MOST_FOLD_MODELS = 10_000
LEAST_CROP_S = 0.2
FRAME_S, LEAST_BANDS = (0.005, 0.04), 8
"""Of frames whose state of the heart cycle is told: heart sounds last some 100 ms, and the levels
of systole are told in eighths of the bands (`predictions.cycle`)."""
MOST_NUMBERS = 2**29
"""Of one batch of crops: 2 GiB in float32, of which a network makes ten times as much and more."""


class Config(Settings):
    """Everything that decides the result of a run, apart from the recordings.

    recipe : name of the recipe, `recipe=NAME`: a file of `configs/recipe/`, which sets many keys
    seed : of the split, of the training and of every resampling
    n_seeds : trainings of every fold, each with other random draws; their mean is scored
    track : `wandb` stays on this machine unless WANDB_MODE=online, `mlflow` unless
        MLFLOW_TRACKING_URI names a server
    select : the epoch that is shipped and scored; `inner`: best on training people who are set
        aside; `best`: best on the people who are scored: optimistic, and labelled so
    headline : the score that results lead with: TASK.METRIC, or mean.METRIC over the tasks
    target : value of the headline that is judged: reached, not reached, cannot tell; null: none. A
        recipe's is of the mean accuracy, and is left out where another headline is named
    plugins : modules that add choices: a list of names, or name -> digest of the source
    device_kind : where networks were trained, as far as it decides their numbers; --device sets it
    """

    data: DataConfig
    features: AnyFeatures
    model: AnyModel
    loss: AnyLoss
    optim: OptimConfig
    sched: AnySchedule
    augment: AugmentConfig
    train: TrainConfig
    split: SplitConfig
    predict: PredictConfig
    frames: FramesConfig = FramesConfig()
    recipe: str
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    n_seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    track: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    select: Literal["last", "inner", "best"] = "last"
    headline: Annotated[str, Field(min_length=1, max_length=200)] = MEAN_ACCURACY
    target: Annotated[float, Field(ge=-1e9, le=1e9)] | None = None
    judge: JudgeConfig = JudgeConfig()
    plugins: dict[str, Plugin] = Field(default_factory=dict)
    device_kind: DeviceKind = "cpu"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _load_plugins(cls, values: Any) -> Any:
        """Before anything else: what they add are choices of the other settings."""
        if not isinstance(values, dict) or not (named := values.get("plugins")):
            return values
        if isinstance(named, dict):
            plugins.restore(named)
            return values
        named = named if isinstance(named, list | tuple) else [named]
        return {**values, "plugins": dict(plugins.named(str(each)) for each in named)}

    @pydantic.field_validator("headline")
    @classmethod
    def _in_full(cls, value: str) -> str:
        """A metric alone is its mean over the tasks."""
        return value if "." in value else f"mean.{value}"

    @pydantic.model_validator(mode="after")
    def _name_plugins(self) -> Config:
        """Whatever plug-in is used is named, wherever it came from."""
        rows = [
            FEATURES.of(self.features), MODELS.of(self.model), LOSSES.of(self.loss),
            SCHEDULES.of(self.sched), DATA.of(self.data),
            *(AUGMENTATIONS.of(each) for each in self.augment.extra),
        ]  # fmt: skip
        for row in rows:
            if row.plugin not in self.plugins and (record := plugins.record_of(row)):
                self.plugins.update([record])
        return self

    @pydantic.model_validator(mode="after")
    def _check(self) -> Config:
        is_accuracy = self.headline.rpartition(".")[2] == "accuracy"
        if is_accuracy and self.target is not None and not 0 < self.target < 1:
            raise ValueError(
                f"target={self.target:g} does not fit: an accuracy is above 0 and less than 1"
            )
        if self.features.is_absent or self.model.is_absent:  # nothing is computed with them
            return self
        if self.train.patience is not None and self.select != "inner":
            raise ValueError(
                f"train.patience={self.train.patience} ends a training when the people of an inner "
                f"split score no better, and select={self.select} sets nobody aside: set "
                "select=inner, or leave train.patience out"
            )
        named = [name for name, task in self.data.tasks.items() if task.uncertain]
        if self.train.uncertain != "class" and not named:
            raise ValueError(
                f"train.uncertain={self.train.uncertain} is about the class that a task names as "
                f"uncertain, and none of {', '.join(self.data.tasks)} names one: say which in the "
                "data configuration (uncertain: Unknown), or leave train.uncertain out"
            )
        self._check_sizes()
        self._check_crops()
        self._check_frames()
        if (self.train.first_n_mels or 0) > self.features.n_mels:
            raise ValueError(
                f"train.first_n_mels={self.train.first_n_mels} is above features.n_mels="
                f"{self.features.n_mels}: bands grow, they do not shrink"
            )
        gains = {
            f"augment.gain_db={self.augment.gain_db:g}": self.augment.gain_db != 0,
            f"predict.gains_db={list(self.predict.gains_db)}": self.predict.gains_db != (0.0,),
        }
        asked = " and ".join(text for text, is_asked in gains.items() if is_asked)
        if asked and not self.features.is_level:
            raise ValueError(
                f"{asked}: a gain moves levels in dB, and "
                f"features.normalise={self.features.normalise} with "
                f"features.compression={self.features.compression} takes it out again: set "
                "features.compression=log and features.normalise=band or none, or leave it out"
            )
        if self.augment.noise_share and self.features.compression != "log":
            raise ValueError(
                f"augment.noise_share={self.augment.noise_share:g} adds up powers, which "
                f"features.compression={self.features.compression} does not give back: set "
                "features.compression=log, or leave it out"
            )
        crop_pool, patient_pool = self.predict.crop_pool, self.predict.patient_pool
        if self.train.level == "recording" and patient_pool == "attention":
            raise ValueError(
                "predict.patient_pool=attention takes weights that are learnt on patients, and "
                "train.level=recording learns none: set train.level=patient, or name a rule such "
                "as predict.patient_pool=mean_max"
            )
        if self.train.level == "patient" and (
            crop_pool != "mean" or patient_pool not in {"task", "attention"}
        ):
            raise ValueError(
                f"predict.crop_pool={crop_pool} and predict.patient_pool={patient_pool} do not "
                "fit train.level=patient, which pools all crops of a patient by the attention "
                "that it learns: leave both out, or set train.level=recording"
            )
        return self

    def _check_crops(self) -> None:
        """Refuse what was meant for spectrograms and would spoil other features."""
        features, crop, frame_s = self.features, self.train.crop_frames, self.features.frame_s
        if features.n_mels < 4 and (self.augment.band_masks or self.augment.band_stops):
            raise ValueError(
                f"augment.band_masks={self.augment.band_masks} and augment.band_stops="
                f"{self.augment.band_stops} hide bands, and features={features.kind} has "
                f"{features.n_mels}, so that whole crops would be hidden: set augment=none"
            )
        if frame_s and crop * frame_s < LEAST_CROP_S:
            raise ValueError(
                f"train.crop_frames={crop} are {crop * frame_s:.2g} s of features={features.kind}, "
                f"less than a heartbeat: 3 s are train.crop_frames={round(3 / frame_s)}"
            )

    def _check_frames(self) -> None:
        """Refuse features of which no frame's state could be told."""
        features, (low, high) = self.features, FRAME_S
        if not self.frames.is_on:
            return
        if (
            features.frame_s is None
            or not low <= features.frame_s <= high
            or (features.n_mels < LEAST_BANDS)
        ):
            made = "one frame of a recording"
            if features.frame_s is not None:
                bands, ms = counted(features.n_mels, "band"), 1000 * features.frame_s
                made = f"a frame of {bands} every {ms:g} ms"
            raise ValueError(
                f"frames=cycle tells the state of every frame, and features="
                f"{features.kind} makes {made}: it takes {LEAST_BANDS} bands or more every "
                f"{1000 * low:g} to {1000 * high:g} ms, as features=logmel makes them. Set "
                "frames=none otherwise"
            )
        if (name := self.frames.task) is not None and name not in self.data.tasks:
            raise ValueError(
                f"frames.task={name} is none of the tasks {', '.join(self.data.tasks)}: name the "
                "one whose positive class is a murmur; frames.task=null tells the states of the "
                "heart cycle alone, and frames=none trains no frame branch"
            )
        crop = round(self.frames.crop_s / features.frame_s)
        crop *= max(features.n_mels, self.frames.channels)
        if (size := self.frames.batch_size) * crop > MOST_NUMBERS:
            raise ValueError(
                f"frames.batch_size={size} crops of frames.crop_s={self.frames.crop_s:g} in "
                f"frames.channels={self.frames.channels} are {size * crop * 4 / 2**30:.0f} GiB a "
                f"layer; {MOST_NUMBERS * 4 // 2**30} GiB fit: frames.batch_size="
                f"{max(2, MOST_NUMBERS // crop)}, or shorter crops"
            )

    def _check_sizes(self) -> None:
        """Refuse what no machine trains, before anything is read."""
        split = self.split
        if (n := (split.n_folds or 2) * split.n_repeats * self.n_seeds) > MOST_FOLD_MODELS:
            raise ValueError(
                f"split.n_folds={split.n_folds} x split.n_repeats={split.n_repeats} x n_seeds="
                f"{self.n_seeds} are {n} fold models; at most {MOST_FOLD_MODELS} fit in a run"
            )
        crop = self.train.crop_frames * self.features.n_mels * (1 + self.model.deltas)
        sizes = {"train": self.train.batch_size, "predict": self.predict.batch_size}
        for group, size in sizes.items():
            if size * crop > MOST_NUMBERS:
                fits = max(1, MOST_NUMBERS // crop)
                raise ValueError(
                    f"{group}.batch_size={size} crops of train.crop_frames="
                    f"{self.train.crop_frames} in features.n_mels={self.features.n_mels} bands are "
                    f"{size * crop * 4 / 2**30:.0f} GiB before the network makes more of them; "
                    f"{MOST_NUMBERS * 4 // 2**30} GiB fit: {group}.batch_size={fits}, or shorter "
                    "crops"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, which has to import the plug-ins first."""
        return _received, (self.as_dict(), plugins.sources(self.plugins))

    def on(self, device_kind: DeviceKind) -> Config:
        """These settings where they are trained.

        A GPU computes other bits than a CPU, and with train.precision=auto in other numbers.
        """
        return self.model_copy(update={"device_kind": device_kind})

    @property
    def precision(self) -> str:
        """What train.precision=auto comes to.

        On the CPU that is float32, which was measured to be the faster of the two; on a GPU
        bfloat16, where it has that (NVIDIA's have since compute capability 8.0, as A100 and L4).
        """
        if self.train.precision != "auto":
            return self.train.precision
        return "bfloat16" if self.device_kind == "cuda" else "float32"

    def as_dict(self) -> dict[str, Any]:
        """Plain values (str, int, float, bool, list, dict), as the YAML has them."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        return OmegaConf.to_yaml(OmegaConf.create(self.as_dict()))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what decides the out-of-fold predictions of the fold models.

        Left out are: where the data lie (the cohort's fingerprint says what they are); headline,
        target, the margins and the stacking, which only judging reads; the trackers; and values
        that equal their declared default (`kfold_hs.config.digests`). The kind of device is in it,
        and on a GPU the precision that auto comes to.
        """
        return sha256_of(decisive(self))

    @property
    def training_digest(self) -> str:
        """SHA-256 (hex) of what decides the fold models: `digest` less what only predicting reads.

        With select=last no part of a training looks at what is predicted, and configurations of one
        training digest have the same models to the bit. With another rule all of `digest` counts.
        A frame branch is a network of its own, which moves no other.
        """
        values = decisive(self)
        if self.select == "last":
            values.pop("predict")
            values.pop("frames", None)
            for task in values["data"]["tasks"].values():
                task.pop("patient_pool", None)
        return sha256_of(values)

    @property
    def variant_digest(self) -> str:
        """SHA-256 (hex) of a variant: `digest` less repeats, seeds of a fold and device.

        More repeats and more seeds hold the draws of fewer: the same variant, measured better.
        Another `seed` is another draw, of which one can pick the luckiest: it stays in.
        """
        values = decisive(self.on("cpu"))
        values["split"].pop("n_repeats")
        values.pop("n_seeds")
        return sha256_of(values)


def _received(values: dict[str, Any], sources: dict[str, dict[str, bytes]]) -> Config:
    plugins.unpack(sources)
    return Config.model_validate(values)
