"""One recording on disk: its samples, and the facts that show whether it can be used.

Files must state their length, so that it can be checked: WAV (with WAVEX and RF64), FLAC and AIFF,
with samples as PCM, floating point, A-law or mu-law. Other formats are refused, since samples could
be lost unnoticed: the length is an estimate (MP3), or the end cannot be checked (Ogg). One channel,
as float32 in [-1, 1].
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from kfold_hs.errors import CohortError, listing

Progress = Callable[[int, int], None]

FULL_SCALE = 32767 / 32768
"""Magnitude from which a sample is at the end of the converter's range."""
FLAT_RANGE = 4 / 32768
"""A recording whose samples span less than this (4 steps of 16 bit) holds no sound."""
CLIPPED_SHARE = 0.01
"""Above this share of samples at full scale a recording is noted as clipped."""

FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "AIFF")
# Samples of one size, so that the number of bytes tells how many there are.
_CODINGS = {f"PCM_{kind}" for kind in ("S8", "U8", "16", "24", "32")}
_CODINGS |= {"FLOAT", "DOUBLE", "ULAW", "ALAW"}

MAX_RATE_HZ = 1_000_000
"""Highest sample rate; a header with a higher one is wrong."""
MAX_TAPS = 2_000_000
"""Largest product of the two whole numbers of a resampling ratio: 441 * 40 from 44100 to 4000 Hz.
44099 and 4000 Hz have none smaller than 44099 * 4000, a filter of gigabytes."""
LARGEST_SAMPLE = 2.0**31
"""Largest floating-point sample: usual ones are in [-1, 1], or as large as whole numbers. The power
of much larger ones overflows."""
_ENDLESS = 2**63 - 1
"""Frames of a FLAC file that does not say how many it has, as written to a pipe."""
_BLOCK = 2**20

# Formats whose samples fit 16 bits: their digest is over int16, whatever the container.
_16_BIT = {"PCM_16", "PCM_S8", "PCM_U8"}


@dataclass(frozen=True)
class AudioFacts:
    """Facts of one file; `sha256` (hex) is the digest of the samples, not of the container."""

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
        WAV, FLAC or AIFF.
    channel : int, optional
        Channel to take from 0. Without it, a file of several channels is an error.

    Raises
    ------
    CohortError
        The file is missing, unreadable, empty or cut short, has several channels, or holds a sample
        that is not finite.
    """
    samples, rate = _read(path, channel)
    return in_one(samples), rate


def read_with_facts(path: Path, channel: int | None = None) -> tuple[np.ndarray, AudioFacts]:
    """Samples as from `read_samples`, and the facts of the file, from one read."""
    samples, rate = _read(path, channel)
    return in_one(samples), facts_of(samples, rate)


def decode_with_facts(
    content: bytes, name: str, channel: int | None = None
) -> tuple[np.ndarray, AudioFacts]:
    """`read_with_facts` for the bytes of a file; errors name it `name`."""
    samples, rate = _decode(io.BytesIO(content), name, len(content), channel)
    return in_one(samples), facts_of(samples, rate)


def inspect(path: Path, channel: int | None = None) -> AudioFacts:
    """Facts of one file; raises as `read_samples`."""
    samples, rate = _read(path, channel)
    return facts_of(samples, rate)


def resampling_ratio(rate_hz: int, wanted_hz: int) -> Fraction:
    """wanted_hz / rate_hz, or the nearest fraction with a filter of a practical size.

    All usual rates are resampled exactly. For others, the error is below four parts in 10,000 (near
    a ratio as simple as 1; 12,002 Hz count as three times 4,000): 22 ms in a minute, mostly far
    less.
    """
    exact = Fraction(wanted_hz, rate_hz)
    if exact.numerator * exact.denominator <= MAX_TAPS:
        return exact
    # Of the fractions up to a size the one with the largest denominator is the nearest.
    largest = max(1, int((MAX_TAPS / float(exact)) ** 0.5))
    return exact.limit_denominator(largest)


def n_resampled(n_samples: int, rate_hz: int, wanted_hz: int) -> int:
    """Samples of a recording after resampling."""
    return math.ceil(n_samples * resampling_ratio(rate_hz, wanted_hz))


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
        Some files cannot be used; the message names them.
    """
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
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


def _read(path: Path, channel: int | None) -> tuple[np.ndarray, int]:
    if not os.path.isfile(path):  # noqa: PTH113 - Path's raises for a name that is too long
        raise _missing([path])
    return _decode(path, str(path), path.stat().st_size, channel)


@contextmanager
def _opened(source: Path | io.BytesIO) -> Iterator[soundfile.SoundFile]:
    """Open a file by its content: soundfile takes a name `x.raw` for a format, and needs UTF-8."""
    if isinstance(source, io.BytesIO):
        with soundfile.SoundFile(source) as file:
            yield file
        return
    with source.open("rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
        yield file


def _decode(
    source: Path | io.BytesIO, name: str, n_bytes: int, channel: int | None
) -> tuple[np.ndarray, int]:
    try:
        with _opened(source) as file:
            _check_format(file, name)
            rate, n_channels, log = file.samplerate, file.channels, file.extra_info
            samples = _to_the_end(file)
            complete = not _is_cut(log) and len(samples) >= file.frames
            unread = file.frames == 0 and _announced(log, "data") == [(0, None)]
    except (soundfile.LibsndfileError, OSError) as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        if n_bytes == 0:
            reason = "the file is empty"
        raise CohortError(f"{name} cannot be read as audio: {reason}. Replace it.") from error
    if unread and (content := with_unknown_size(source)):
        return _decode(io.BytesIO(content), name, n_bytes, channel)
    if not complete:
        raise CohortError(
            f"{name} is cut short: it holds {len(samples)} samples, fewer than its header says. "
            "Copy it again from the source."
        )
    if len(samples) == 0:
        raise CohortError(f"{name} holds no samples. Replace it, or remove it from the data.")
    if channel is None and n_channels > 1:
        raise CohortError(
            f"{name} has {n_channels} channels, but one is expected. Convert it to mono, or choose "
            "a channel with data.channel=0 (with data=table)."
        )
    if (channel or 0) >= n_channels:
        raise CohortError(
            f"{name} has {n_channels} channels, but no channel {channel}; they count from 0."
        )
    if not 0 < rate <= MAX_RATE_HZ:
        raise CohortError(
            f"{name} has a sample rate of {rate} Hz in its header. The rate must be above 0 and at "
            f"most {MAX_RATE_HZ} Hz. Correct the header, or copy the file again."
        )
    mono = np.ascontiguousarray(samples[:, channel or 0])
    if mono.dtype != np.int16 and not np.isfinite(mono).all():
        bad = int(np.count_nonzero(~np.isfinite(mono)))
        raise CohortError(
            f"{name} holds {bad} samples that are not finite numbers (NaN or infinite). "
            "Export it again or remove it from the data."
        )
    if mono.dtype != np.int16 and (peak := float(np.abs(mono).max())) > LARGEST_SAMPLE:
        raise CohortError(
            f"{name} holds samples as large as {peak:.3g}. Full scale is 1; the largest sample "
            f"allowed is {LARGEST_SAMPLE:.0f}. Export it again, or remove it from the data."
        )
    return mono, rate


def _check_format(file: soundfile.SoundFile, name: str) -> None:
    if file.frames == _ENDLESS:
        raise CohortError(
            f"{name} does not say how many samples it has. It may have been written to a pipe. "
            "Write it to a file, e.g. with `flac -d FILE` and `flac FILE.wav`."
        )
    if file.format not in FORMATS or file.subtype not in _CODINGS:
        raise CohortError(
            f"{name} is {file.format} with {file.subtype}. Its length cannot be checked, so that "
            "samples could be lost. Convert it to WAV, FLAC or AIFF with PCM samples, e.g. with "
            "`ffmpeg -i FILE FILE.wav`."
        )


def _to_the_end(file: soundfile.SoundFile) -> np.ndarray:
    """All samples, (n_frames, n_channels): in blocks, since a header may announce any number."""
    dtype = "int16" if file.subtype in _16_BIT else "float32"
    blocks: list[np.ndarray] = []
    while not blocks or len(blocks[-1]):
        blocks.append(file.read(_BLOCK, dtype=dtype, always_2d=True))
    return blocks[0] if len(blocks) == 2 else np.concatenate(blocks)


def _announced(log: str, chunk: str) -> list[tuple[int, int | None]]:
    """Sizes of a chunk in libsndfile's log: what the header says, and what it should say."""
    found = re.findall(rf"^\s*{chunk} : (\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE)
    return [(int(says), int(should) if should else None) for says, should in found]


def _is_cut(log: str) -> bool:
    """Whether a file holds less than its header says: libsndfile reads what is there, and logs it.

    A recorder that writes a WAV to a pipe does not know its size, and writes the largest number
    that fits. Such a file is read to its end, unless it states the size of the whole file.
    """
    if "does not match value from 'ds64' chunk" in log:
        return True
    for says, should in _announced(log, "data"):
        if should is not None and says > should:
            known = [
                pair for pair in _announced(log, "RIFF") if pair[0] and not _is_unknown(pair[0])
            ]
            if not _is_unknown(says) or any(end and size > end for size, end in known):
                return True
    return any(end is not None and size > end for size, end in _announced(log, "SSND"))


def _is_unknown(n_bytes: int) -> bool:
    """Whether a size stands for "not known": near 2^31 (sox, arecord) or 2^32 (ffmpeg)."""
    return abs(n_bytes - 2**31) <= 4096 or n_bytes >= 2**32 - 4096


def with_unknown_size(source: Path | io.BytesIO) -> bytes | None:
    """The bytes of a WAV whose header says 0 samples, though samples follow the header.

    None where other chunks follow: such a file is empty.
    """
    content = source.getvalue() if isinstance(source, io.BytesIO) else source.read_bytes()

    def after(chunk: int) -> int:
        size = int.from_bytes(content[chunk + 4 : chunk + 8], "little")
        return chunk + 8 + size + size % 2

    chunk = 12
    while chunk + 8 <= len(content) and content[chunk : chunk + 4] != b"data":
        chunk = after(chunk)
    at = chunk + 8
    if content[:4] != b"RIFF" or at > len(content) or after(chunk) != at:
        return None
    end = at
    while end + 8 <= len(content) and content[end : end + 4].isalnum():
        end = after(end)
    if end >= len(content) - 1:
        return None
    unknown = struct.pack("<I", 2**32 - 1)
    return content[:4] + unknown + content[8 : at - 4] + unknown + content[at:]
