"""Settings of a training recipe: features, model, optim, augment, train, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from kfold_hs.config.base import NonNegative, Positive, Settings, Share
from kfold_hs.config.former_keys import as_today
from kfold_hs.config.poolings import PatientPool

_Inside = Annotated[float, Field(gt=0, lt=1)]
_Count = Annotated[int, Field(ge=0, le=100)]
_Decibels = Annotated[float, Field(ge=-60, le=60)]


class FeatureConfig(Settings):
    """What the network hears of a recording; see `kfold_hs.learn.features.mel`.

    sample_rate_hz : other rates are resampled to it
    n_fft : of the zero-padded window, so that every low band has a bin of its own
    normalise : to mean 0 and variance 1: `recording`: over a recording; `band`: each band, over the
        training people of a fold; `none`
    band_pass_hz : e.g. [25, 400]: Butterworth, there and back, before everything else
    remove_spikes : whether knocks and rubbing are set to zero (Schmidt et al. 2010)
    compression : `log`: 10 log10, in dB; `pcen`: per-channel energy normalisation (Wang et al.
        2017), (E / (floor + M)^gain + bias)^root - bias^root, M the running mean of the power E
    pcen_time_constant_s : of M
    pcen_gain : 1: a recording's loudness is gone
    pcen_floor : power below which a band counts as silent
    """

    sample_rate_hz: Annotated[int, Field(ge=100, le=192_000)] = 4000
    window_s: Annotated[float, Field(gt=0, le=1)] = 0.05
    hop_s: Annotated[float, Field(ge=0.0005, le=1)] = 0.02
    n_fft: Annotated[int, Field(ge=16, le=65_536)] = 512
    n_mels: Annotated[int, Field(ge=4, le=512)] = 64
    f_min_hz: NonNegative = 20.0
    f_max_hz: Positive = 1000.0
    normalise: Literal["recording", "band", "none"] = "recording"
    band_pass_hz: tuple[Positive, Positive] | None = None
    remove_spikes: bool = False
    compression: Literal["log", "pcen"] = "log"
    pcen_time_constant_s: Annotated[float, Field(gt=0, le=1000)] = 0.4
    pcen_gain: Share = 0.98
    pcen_bias: NonNegative = 2.0
    pcen_root: Annotated[float, Field(gt=0, le=1)] = 0.5
    pcen_floor: Positive = 1e-6

    @pydantic.model_validator(mode="after")
    def _check(self) -> FeatureConfig:
        if self.band_pass_hz is not None:
            low, high = self.band_pass_hz
            if not low < high < self.sample_rate_hz / 2:
                raise ValueError(
                    f"features.band_pass_hz=[{low:g},{high:g}] must go up, and stay below half of "
                    f"features.sample_rate_hz={self.sample_rate_hz}; null turns it off"
                )
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
        if self.n_mels > self.n_fft // 2 + 1:
            raise ValueError(
                f"features.n_mels={self.n_mels} is above the {self.n_fft // 2 + 1} frequencies of "
                f"features.n_fft={self.n_fft}: lower n_mels or raise n_fft"
            )
        if self.hop_samples < 1 or self.window_samples < 2:
            raise ValueError("features.window_s and features.hop_s must each span a sample")
        return self

    @property
    def of_recordings(self) -> FeatureConfig:
        """What is done to recordings by themselves: without what is fitted on a fold's people."""
        fitted = self.normalise == "band"
        return self.model_copy(update={"normalise": "none"}) if fitted else self

    @property
    def is_level(self) -> bool:
        """Whether crops of the bank are levels in dB, to which a gain is added."""
        return self.compression == "log" and self.normalise != "recording"

    @property
    def n_fitted_bands(self) -> int:
        """Mel bands whose scaling is fitted on a fold's training people; 0: none are."""
        return self.n_mels if self.normalise == "band" else 0

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)

    @property
    def least_samples(self) -> int:
        """Fewest samples of a recording: a window, and what is mirrored at its ends."""
        return max(self.window_samples, self.n_fft // 2 + 1)

    @property
    def hop_samples(self) -> int:
        return round(self.hop_s * self.sample_rate_hz)


class ModelConfig(Settings):
    """A timm backbone with one linear head a task; see `kfold_hs.learn.models.network`.

    weights : `package`: of the extra `weights` (EfficientNet-Lite0 only); `hub`: of timm; `file`:
        `weights_file`; `none`: trained from scratch
    hidden : size of the hidden layer before the heads; 0: none
    drop_path : stochastic depth (Huang et al. 2016)
    pool : over bands and time; `backbone`: as the backbone does
    covariates : of the patient, beside the sound, e.g. [age, sex, height_cm, weight_kg]
    heads : `separate`: a linear head a task; `joint`: one over all combinations of their classes
    deltas : time derivatives beside the features, as further channels
    """

    backbone: str
    weights: Literal["none", "hub", "file", "package"]
    weights_file: Path | None = None
    hidden: Annotated[int, Field(ge=0, le=8192)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pool: Literal["backbone", "avg", "max", "gem", "attention"] = "backbone"
    covariates: tuple[str, ...] = ()
    heads: Literal["separate", "joint"] = "separate"
    deltas: Literal[0, 1, 2] = 0

    @pydantic.model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if (self.weights == "file") != (self.weights_file is not None):
            raise ValueError(
                "model.weights=file and model.weights_file=PATH go together: "
                f"weights is {self.weights!r} and weights_file is {self.weights_file}"
            )
        return self


class OptimConfig(Settings):
    """AdamW (Loshchilov & Hutter 2019).

    lr : the highest rate of the schedule
    """

    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=100)] = 0.01
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999


class AugmentConfig(Settings):
    """Mixup, SpecAugment and others; see `kfold_hs.learn.data.augment`.

    mixup_alpha, cutmix_alpha : of Beta(alpha, alpha) (Zhang et al. 2018; Yun et al. 2019); 0: off
    time_masks, band_masks : how many; the widest are `time_mask_frames` and `band_mask_bands`
    cutmix_axis : whether a stretch of frames or of bands is exchanged
    stretch : up to this share faster or slower
    gain_db : up to this much louder or softer; not with features.normalise=recording
    band_stops : stretches of bands set to the quietest level of the crop; the widest are
        `band_stop_bands`
    noise_share : of the crops, to which noise is added
    noise_snr_db : lowest and highest ratio of signal to noise
    noise : `white`, `pink` or `brown`: 0, 3 or 6 dB an octave
    noise_folder : WAV or FLAC recordings of noise in its place
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

    crops_per_recording : drawn from every training recording in an epoch
    site_labels : whether a recording's own label counts, where the data have one, instead of the
        patient's
    sampling : `shuffle`; `joint` or the name of a task: classes drawn equally often; `patient`:
        patients drawn equally often, however many recordings
    grad_clip : norm; 0: off
    accumulate : batches whose gradients make one step of the optimizer
    average : what is scored and kept, if not the trained weights: their exponential mean over the
        steps (`ema`; Polyak & Juditsky 1992), or their equal mean over the last epochs (`swa`;
        Izmailov et al. 2018)
    average_decay : of `ema`
    average_start : of `swa`: share of the epochs after which weights are averaged
    average_update_bn : of `swa`: whether batch statistics are computed anew, from all crops of the
        training people, instead of averaged
    backend : of training steps; `compile`: the network by torch.compile, which takes a minute at
        the start; `cuda_graphs`: a step's kernels are launched as one, on NVIDIA GPUs only
    first_crop_frames, first_n_mels : crops grow from these, in frames and in bands (neighbours are
        averaged), to their size after the share `grow_until` of the epochs; None: off
    precision : `auto`: bfloat16 on CUDA, float32 elsewhere
    inner_share : of the training people, set aside to choose the epoch when select=inner
    patience : with select=inner: stop after so many epochs without a gain; None: never
    level : `patient`: an example is one crop of each of `sites_per_patient` recordings, pooled by
        gated attention (Ilse et al. 2018); batch_size counts crops
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
    crop_frames: Annotated[int, Field(ge=16, le=100_000)] = 256
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

    crop_overlap : of neighbouring crops of a recording
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
