"""Settings of the features: `features`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import pydantic
from pydantic import Field

from kfold_hs.config.base import Choice, NonNegative, Positive, Share
from kfold_hs.config.registry import Registry, Row, one_of


class FeatureSettings(Choice):
    """What all features of a recording are set by.

    sample_rate_hz : other rates are resampled to it
    normalise : to mean 0 and variance 1: `recording`: over a recording; `band`: each band, over the
        training people of a fold; `none`
    band_pass_hz : e.g. [25, 400]: Butterworth, there and back, before everything else
    remove_spikes : whether knocks and rubbing are set to zero (Schmidt et al. 2010)
    """

    sample_rate_hz: Annotated[int, Field(ge=100, le=192_000)] = 4000
    normalise: Literal["recording", "band", "none"] = "recording"
    band_pass_hz: tuple[Positive, Positive] | None = None
    remove_spikes: bool = False

    if TYPE_CHECKING:  # settings of some, fixed for others
        n_mels: int
        f_max_hz: float
        compression: str

        @property
        def frame_s(self) -> float | None:
            """Seconds from frame to frame; None: a recording is one frame."""

        @property
        def least_samples(self) -> int:
            """Fewest samples of a recording."""

    @pydantic.model_validator(mode="after")
    def _check_band(self) -> FeatureSettings:
        if self.band_pass_hz is not None:
            low, high = self.band_pass_hz
            if not low < high < self.sample_rate_hz / 2:
                raise ValueError(
                    f"features.band_pass_hz=[{low:g},{high:g}] must go up, and stay below half of "
                    f"features.sample_rate_hz={self.sample_rate_hz}; null turns it off"
                )
        return self

    @property
    def of_recordings(self) -> Self:
        """What is done to recordings by themselves: without what is fitted on a fold's people."""
        fitted = self.normalise == "band"
        return self.model_copy(update={"normalise": "none"}) if fitted else self

    @property
    def is_level(self) -> bool:
        """Whether crops of the bank are levels in dB, to which a gain is added."""
        return self.compression == "log" and self.normalise != "recording"

    @property
    def n_fitted_bands(self) -> int:
        """Bands whose scaling is fitted on a fold's training people; 0: none are."""
        return self.n_mels if self.normalise == "band" else 0


class OwnFeatures(FeatureSettings):
    """Features that a function gives: of a plug-in, or the waveform itself.

    n_mels : bands of a frame
    hop_s : from frame to frame; None: a recording is one frame
    """

    n_mels: ClassVar[int] = 1  # type: ignore[misc]
    hop_s: ClassVar[float | None] = None
    f_max_hz: ClassVar[float] = 0.0  # type: ignore[misc]
    compression: ClassVar[str] = "none"  # type: ignore[misc]
    least_s: ClassVar[float] = 0.1

    @property
    def frame_s(self) -> float | None:
        return self.hop_s

    @property
    def least_samples(self) -> int:
        return round(self.least_s * self.sample_rate_hz)


class WaveformConfig(OwnFeatures):
    """The samples themselves, one band: a frame is a sample, and train.crop_frames counts them."""

    kind: Literal["waveform"] = "waveform"
    sample_rate_hz: Annotated[int, Field(ge=100, le=192_000)] = 2000

    @property
    def frame_s(self) -> float | None:
        return 1 / self.sample_rate_hz


class FeatureConfig(FeatureSettings):
    """Mel spectrogram; see `kfold_hs.learn.features.mel`.

    window_s : length of the window, in seconds
    hop_s : from frame to frame, in seconds
    n_mels : number of bands
    f_min_hz, f_max_hz : lower end of the lowest band, upper end of the highest
    n_fft : of the zero-padded window, so that every low band has a bin of its own
    compression : `log`: 10 log10, in dB; `pcen`: per-channel energy normalisation (Wang et al.
        2017), (E / (floor + M)^gain + bias)^root - bias^root, M the running mean of the power E
    pcen_time_constant_s : of M
    pcen_gain : 1: a recording's loudness is gone
    pcen_bias, pcen_root : `bias` and `root` in the formula of `compression`
    pcen_floor : power below which a band counts as silent
    """

    kind: Literal["mel"] = "mel"
    window_s: Annotated[float, Field(gt=0, le=1)] = 0.05
    hop_s: Annotated[float, Field(ge=0.0005, le=1)] = 0.02
    n_fft: Annotated[int, Field(ge=16, le=65_536)] = 512
    n_mels: Annotated[int, Field(ge=4, le=512)] = 64
    f_min_hz: NonNegative = 20.0
    f_max_hz: Positive = 1000.0
    compression: Literal["log", "pcen"] = "log"
    pcen_time_constant_s: Annotated[float, Field(gt=0, le=1000)] = 0.4
    pcen_gain: Share = 0.98
    pcen_bias: NonNegative = 2.0
    pcen_root: Annotated[float, Field(gt=0, le=1)] = 0.5
    pcen_floor: Positive = 1e-6

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
        if self.n_mels > self.n_fft // 2 + 1:
            raise ValueError(
                f"features.n_mels={self.n_mels} is above the {self.n_fft // 2 + 1} frequencies of "
                f"features.n_fft={self.n_fft}: lower n_mels or raise n_fft"
            )
        if self.hop_samples < 1 or self.window_samples < 2:
            raise ValueError("features.window_s and features.hop_s must each span a sample")
        return self

    @property
    def frame_s(self) -> float:
        return self.hop_samples / self.sample_rate_hz

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


FEATURES = Registry(
    "kind of features",
    FeatureSettings,
    {
        "mel": Row(FeatureConfig),
        "waveform": Row(WaveformConfig, lambda samples, rate_hz, settings: samples[None]),
    },
    default="mel",
)
"""Kind -> its settings and (samples, rate, settings) -> (bands, frames)."""

if TYPE_CHECKING:
    AnyFeatures = FeatureSettings
else:
    AnyFeatures = one_of(FEATURES)
