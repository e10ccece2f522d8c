"""One recording on disk: its samples, and the facts that decide whether to trust them.

WAV and FLAC are read with soundfile, one channel, as float32 in [-1, 1].
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from kfold_hs.errors import CohortError, listing

Progress = Callable[[int, int], None]

FULL_SCALE = 32767 / 32768
"""A sample at or above this magnitude is at the end of the converter's range."""
FLAT_RANGE = 4 / 32768
"""A recording whose samples span less than this (4 steps of 16 bit) holds no sound."""
CLIPPED_SHARE = 0.01
"""Above this share of samples at full scale a recording is noted as clipped."""

# Formats whose samples fit 16 bits: their digest is over int16, whatever the container.
_16_BIT = {"PCM_16", "PCM_S8", "PCM_U8"}


@dataclass(frozen=True)
class AudioFacts:
    """What was found in one file; `sha256` is over the samples, not the container."""

    sample_rate_hz: int
    n_samples: int
    sha256: str
    clipped_share: float
    is_flat: bool

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.sample_rate_hz


def read_samples(path: Path, channel: int | None = None) -> tuple[np.ndarray, int]:
    """Samples of one channel, float32 in [-1, 1], shape (n_samples,), and the rate in Hz.

    Parameters
    ----------
    path : Path
        WAV or FLAC.
    channel : int, optional
        Channel to take from 0. Without it, a file of several channels is an error.

    Raises
    ------
    CohortError
        Missing, unreadable, empty, cut short, of several channels, or not finite.
    """
    samples, rate, _ = _read(path, channel)
    return in_one(samples), rate


def read_with_facts(path: Path, channel: int | None = None) -> tuple[np.ndarray, AudioFacts]:
    """Samples as `read_samples` gives them, and the facts of the file, in one go."""
    samples, rate, _ = _read(path, channel)
    return in_one(samples), facts_of(samples, rate)


def decode_with_facts(
    content: bytes, name: str, channel: int | None = None
) -> tuple[np.ndarray, AudioFacts]:
    """As `read_with_facts`, of a file's bytes; errors call it `name`."""
    samples, rate, _ = _decode(io.BytesIO(content), name, len(content), channel)
    return in_one(samples), facts_of(samples, rate)


def inspect(path: Path, channel: int | None = None) -> AudioFacts:
    """Facts of one file; raises as `read_samples`."""
    samples, rate, _ = _read(path, channel)
    return facts_of(samples, rate)


def in_one(samples: np.ndarray) -> np.ndarray:
    """Samples of a file, int16 or float32 -> float32 in [-1, 1]."""
    return samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples


def facts_of(samples: np.ndarray, rate: int) -> AudioFacts:
    """Facts of samples as a file has them: (n_samples,) int16 or float32, n_samples > 0."""
    scale = 32768 if samples.dtype == np.int16 else 1
    low, high = float(samples.min()) / scale, float(samples.max()) / scale
    top = FULL_SCALE * scale
    clipped = np.count_nonzero((samples >= top) | (samples <= -top)) / len(samples)
    little_endian = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    return AudioFacts(
        sample_rate_hz=rate,
        n_samples=len(samples),
        sha256=hashlib.sha256(little_endian.tobytes()).hexdigest(),
        clipped_share=float(clipped),
        is_flat=high - low < FLAT_RANGE,
    )


def inspect_all(
    paths: Sequence[Path], channel: int | None = None, on_progress: Progress | None = None
) -> list[AudioFacts]:
    """Facts of many files, in order, read by a few threads.

    Raises
    ------
    CohortError
        With every file that cannot be used, so that they can be mended in one go.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise _missing(missing)

    def attempt(path: Path) -> AudioFacts | CohortError:
        try:
            return inspect(path, channel)
        except CohortError as error:
            return error

    found: list[AudioFacts] = []
    faults: list[CohortError] = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for i, result in enumerate(pool.map(attempt, paths)):
            if isinstance(result, CohortError):
                faults.append(result)
            else:
                found.append(result)
            if on_progress:
                on_progress(i + 1, len(paths))
    if faults:
        more = f" And {len(faults) - 5} more recordings." if len(faults) > 5 else ""
        raise CohortError(" ".join(str(fault) for fault in faults[:5]) + more)
    return found


def _missing(paths: Sequence[Path]) -> CohortError:
    number = "1 recording is" if len(paths) == 1 else f"{len(paths)} recordings are"
    return CohortError(f"{number} missing: {listing(paths)}.")


def _read(path: Path, channel: int | None) -> tuple[np.ndarray, int, str]:
    if not path.is_file():
        raise _missing([path])
    return _decode(path, str(path), path.stat().st_size, channel)


def _decode(
    source: Path | io.BytesIO, name: str, n_bytes: int, channel: int | None
) -> tuple[np.ndarray, int, str]:
    try:
        with soundfile.SoundFile(source) as file:
            rate, n_channels, n_frames = file.samplerate, file.channels, file.frames
            subtype = file.subtype
            header = file.extra_info
            dtype = "int16" if subtype in _16_BIT else "float32"
            samples = file.read(dtype=dtype, always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        reason = str(getattr(error, "error_string", error))
        if n_bytes == 0:
            reason = "the file is empty"
        raise CohortError(f"{name} cannot be read as audio: {reason}. Replace it.") from error
    # libsndfile reads what is there of a file that was cut off, and only its log tells.
    if len(samples) < n_frames or re.search(r"^\s*data\b.*should be", header, re.MULTILINE):
        raise CohortError(
            f"{name} is cut short: its header announces more samples than the {len(samples)} "
            "it holds. Copy it again from the source."
        )
    if len(samples) == 0:
        raise CohortError(f"{name} holds no samples. Replace it or remove it from the data.")
    if channel is None and n_channels > 1:
        raise CohortError(
            f"{name} has {n_channels} channels; one is expected. Convert it to mono, or name "
            "the channel to take with data.channel=0 (data=table)."
        )
    if (channel or 0) >= n_channels:
        raise CohortError(f"{name} has {n_channels} channels; there is no channel {channel}.")
    mono = np.ascontiguousarray(samples[:, channel or 0])
    if mono.dtype != np.int16 and not np.isfinite(mono).all():
        bad = int(np.count_nonzero(~np.isfinite(mono)))
        raise CohortError(
            f"{name} holds {bad} samples that are not finite numbers (NaN or infinite). "
            "Export it again or remove it from the data."
        )
    return mono, rate, subtype
