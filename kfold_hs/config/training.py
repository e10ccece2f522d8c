"""Settings of a training recipe: optim, augment, train, predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from pydantic import Field

from kfold_hs.config.base import Choice, NonNegative, Settings, Share
from kfold_hs.config.former_keys import as_today
from kfold_hs.config.poolings import PatientPool
from kfold_hs.config.registry import Registry, one_of

DeviceKind = Literal["cpu", "cuda", "cuda_without_bfloat16"]
"""Where networks are trained, as far as it decides their numbers."""
_Inside = Annotated[float, Field(gt=0, lt=1)]
_Count = Annotated[int, Field(ge=0, le=100)]
_Decibels = Annotated[float, Field(ge=-60, le=60)]


AUGMENTATIONS = Registry("augmentation", Choice, {})
"""Of plug-ins: kind -> its settings and (crops, random generator, settings) -> crops."""

if TYPE_CHECKING:
    Augmentation = Choice
else:
    Augmentation = one_of(AUGMENTATIONS)


class OptimConfig(Settings):
    """AdamW (Loshchilov & Hutter 2019).

    lr : the highest rate of the schedule
    weight_decay : decoupled from the gradient
    beta1, beta2 : decay of the running means of gradients and of their squares
    """

    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.01
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999


class AugmentConfig(Settings):
    """Mixup, SpecAugment and others; see `kfold_hs.learn.data.augment`.

    mixup_alpha, cutmix_alpha : of Beta(alpha, alpha) (Zhang et al. 2018; Yun et al. 2019); 0: off
    time_masks, band_masks : how many; the widest are `time_mask_frames` and `band_mask_bands`
    time_mask_frames, band_mask_bands : width of the widest mask
    cutmix_axis : whether a stretch of frames or of bands is exchanged
    stretch : up to this share faster or slower
    gain_db : up to this much louder or softer; not with features.normalise=recording
    band_stops : stretches of bands set to the quietest level of the crop; the widest are
        `band_stop_bands`
    band_stop_bands : width of the widest of them
    noise_share : of the crops, to which noise is added
    noise_snr_db : lowest and highest ratio of signal to noise
    noise : `white`, `pink` or `brown`: 0, 3 or 6 dB an octave
    noise_folder : WAV or FLAC recordings of noise in its place
    extra : of plug-ins, in this order: a list of names, or `{NAME: {setting: value}}`
    """

    mixup_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    time_masks: _Count = 0
    time_mask_frames: Annotated[int, Field(ge=0, le=100_000)] = 0
    band_masks: _Count = 0
    band_mask_bands: Annotated[int, Field(ge=0, le=512)] = 0
    cutmix_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    cutmix_axis: Literal["time", "band"] = "time"
    stretch: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    gain_db: Annotated[float, Field(ge=0, le=60)] = 0.0
    band_stops: _Count = 0
    band_stop_bands: Annotated[int, Field(ge=0, le=512)] = 8
    noise_share: Share = 0.0
    noise_snr_db: tuple[_Decibels, _Decibels] = (5.0, 30.0)
    noise: Literal["white", "pink", "brown"] = "pink"
    noise_folder: Path | None = None
    extra: tuple[Augmentation, ...] = ()

    @pydantic.field_validator("extra", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """A name is that with its defaults; `{NAME: {setting: value}}` is one with others."""
        if isinstance(value, dict):
            value = [{"kind": name, **(each or {})} for name, each in value.items()]
        if isinstance(value, str):
            value = [value]
        return [{"kind": e} if isinstance(e, str) else e for e in value] if value else ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> AugmentConfig:
        low, high = self.noise_snr_db
        if low > high:
            raise ValueError(
                f"augment.noise_snr_db=[{low:g},{high:g}] must go up: the lowest ratio of signal "
                "to noise, then the highest"
            )
        return self


class TrainConfig(Settings):
    """The training loop; see `kfold_hs.learn.training.fold`.

    epochs : passes over the training recordings
    batch_size : crops a step
    crop_frames : length of a crop, in frames of the features
    crops_per_recording : drawn from every training recording in an epoch
    site_labels : whether a recording's own label counts, where the data have one, instead of the
        patient's
    sampling : `shuffle`; `joint` or the name of a task: classes drawn equally often; `patient`:
        patients drawn equally often, however many recordings
    grad_clip : largest norm of a step's gradient; 0: off
    accumulate : batches whose gradients make one step of the optimizer
    average : what is scored and kept, if not the trained weights: their exponential mean over the
        steps (`ema`; Polyak & Juditsky 1992), or their equal mean over the last epochs (`swa`;
        Izmailov et al. 2018)
    average_decay : of `ema`: what the mean keeps of itself at a step
    average_start : of `swa`: share of the epochs after which weights are averaged
    average_update_bn : of `swa`: whether batch statistics are computed anew, from all crops of the
        training people, instead of averaged
    backend : of training steps; `compile`: the network by torch.compile, which takes a minute at
        the start; `cuda_graphs`: a step's kernels are launched as one, on NVIDIA GPUs only
    first_crop_frames, first_n_mels : crops grow from these, in frames and in bands (neighbours are
        averaged), to their size after the share `grow_until` of the epochs; None: off
    grow_until : share of the epochs after which crops have their size
    precision : `auto`: bfloat16 on GPUs that have it (A100, L4, H100; not T4, V100), else float32
    inner_share : of the training people, set aside to choose the epoch when select=inner
    patience : with select=inner: stop after so many epochs without a gain; None: never
    level : `patient`: an example is one crop of each of `sites_per_patient` recordings, pooled by
        gated attention (Ilse et al. 2018); batch_size counts crops
    sites_per_patient : recordings of an example, with level=patient
    people_share : of every fold's training people, stratified, on whom alone its model is trained;
        those of a smaller share are among those of a larger one
    align : where training crops start; `cycle`: at an S1, where a segmentation lies beside the
        recording
    uncertain : the class that a task names as uncertain is a `class`, has no part in the loss
        (`drop`), or is spread evenly over the other classes (`soft`); it is always scored
    threads : of the CPU, for each fold; None: all cores. They decide the last bits of results on
        the CPU, --jobs does not
    tf32 : on NVIDIA GPUs, float32 products and convolutions with 10 bits of mantissa
    deterministic : on NVIDIA GPUs, the same bits again on the same kind of GPU; slower
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 32
    crop_frames: Annotated[int, Field(ge=1, le=100_000)] = 256
    crops_per_recording: Annotated[int, Field(ge=1, le=1000)] = 1
    site_labels: bool = True
    sampling: str = "shuffle"
    grad_clip: NonNegative = 5.0
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    average: Literal["none", "ema", "swa"] = "none"
    average_decay: _Inside = 0.99
    average_start: _Inside = 0.75
    average_update_bn: bool = False
    first_crop_frames: Annotated[int, Field(ge=16, le=100_000)] | None = None
    grow_until: Share = 0.5
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    backend: Literal["eager", "compile", "cuda_graphs"] = "eager"
    inner_share: Annotated[float, Field(gt=0, le=0.5)] = 0.15
    patience: Annotated[int, Field(ge=1, le=10_000)] | None = None
    level: Literal["recording", "patient"] = "recording"
    sites_per_patient: Annotated[int, Field(ge=1, le=64)] = 4
    people_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    align: Literal["none", "cycle"] = "none"
    first_n_mels: Annotated[int, Field(ge=4, le=512)] | None = None
    uncertain: Literal["class", "drop", "soft"] = "class"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    tf32: bool = False
    deterministic: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _by_todays_keys(cls, values: Any) -> Any:
        return as_today(values) if isinstance(values, dict) else values

    @pydantic.model_validator(mode="after")
    def _check(self) -> TrainConfig:
        used = {"average_decay": "ema", "average_start": "swa", "average_update_bn": "swa"}
        for key, way in used.items():
            value = getattr(self, key)
            if way != self.average and value != type(self).model_fields[key].default:
                raise ValueError(
                    f"train.{key}={str(value).lower()} is read with train.average={way} only, and "
                    f"train.average is {self.average}: set train.average={way}, or leave "
                    f"train.{key} out"
                )
        if self.first_crop_frames is not None and self.first_crop_frames > self.crop_frames:
            raise ValueError(
                f"train.first_crop_frames={self.first_crop_frames} is above "
                f"train.crop_frames={self.crop_frames}: crops grow, they do not shrink"
            )
        if self.level == "patient" and self.batch_size < self.sites_per_patient:
            raise ValueError(
                f"train.batch_size={self.batch_size} counts crops and holds no whole "
                f"patient of train.sites_per_patient={self.sites_per_patient}: raise the one or "
                "lower the other"
            )
        return self


class PredictConfig(Settings):
    """From crops to a patient; see `kfold_hs.predictions.aggregation`.

    batch_size : crops that are predicted at once; decides speed and memory
    crop_pool : the rule from the crops of a recording to the recording
    crop_overlap : share that neighbouring crops of a recording have in common
    patient_pool : `task`: as the data configuration states; `attention`: of train.level=patient
    n_shifts : crops are laid out this many times, shifted (test-time augmentation)
    gains_db : every crop is heard at each of these gains (test-time augmentation); not with
        features.normalise=recording
    stack : `task`: tasks are told from others and from covariates, as data.tasks.<task>.stack
        states, cross-fitted after training; `none`
    """

    crop_overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 64
    patient_pool: Literal["task", "attention"] | PatientPool = "task"
    n_shifts: Annotated[int, Field(ge=1, le=64)] = 1
    crop_pool: PatientPool = "mean"
    gains_db: tuple[_Decibels, ...] = Field((0.0,), min_length=1, max_length=64)
    stack: Literal["task", "none"] = "task"
