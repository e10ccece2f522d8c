"""The feature bank: every recording's features in one memory-mapped array.

Made once for a set of recordings and a feature configuration, found again by the
digest of both (of the samples, so neither names nor folders matter), and shared by
all folds, variants and processes. Training gathers crops from it by index.

    <cache>/features/<digest>-<layout>/
        frames.npy   (total frames, n_mels) float16
        index.npy    (n_recordings + 1,) int64, first frame of each
        level.npy    (n_recordings, 2) float32, mean and spread taken out of each
        SHA256SUMS   of the files; a bank that does not fit them is computed anew
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import n_resampled, read_samples
from kfold_hs.config.digests import for_digest
from kfold_hs.config.plugins import source_of
from kfold_hs.config.schema import FeatureConfig, FeatureSettings
from kfold_hs.errors import CohortError, counted, listing
from kfold_hs.files.atomic import discard, sweep, writing_folder
from kfold_hs.files.cache import cache_folder, is_whole, keeping
from kfold_hs.learn.ahead import ahead, in_order
from kfold_hs.learn.device import room_on, to_device
from kfold_hs.learn.features.transform import Transform, kept, transform_of

VERSION = 1
"""Raised when the same configuration gives other features than before."""
LAYOUT = 3
"""Raised when a bank's files change and its features do not: it is made again, same digest."""


@dataclass(frozen=True)
class Bank:
    """Features of a cohort's recordings, in the order of `cohort.recordings`.

    Parameters
    ----------
    frames : Tensor, shape (total_frames, n_mels), float16
        All recordings one after another.
    first : Tensor, shape (n_recordings,), int64
        Where each recording starts in `frames`.
    length : Tensor, shape (n_recordings,), int64
        Its number of frames, at least 1.
    digest : str
    level : Tensor, shape (n_recordings, 2), float32, optional
        Mean and spread that normalisation took out of each; None: nothing was taken out.
    streamed : bool
        `frames` is larger than the memory and stays on the disk, whatever the device: a thread
        reads the crops of the batches to come.
    """

    frames: torch.Tensor
    first: torch.Tensor
    length: torch.Tensor
    digest: str
    level: torch.Tensor | None = None
    streamed: bool = False

    @property
    def n_mels(self) -> int:
        return self.frames.shape[1]

    @functools.cached_property
    def on_host(self) -> tuple[np.ndarray, np.ndarray]:
        """`first` and `length`, read once: to ask the device waits for all it has to do."""
        return self.first.cpu().numpy(), self.length.cpu().numpy()

    @property
    def device(self) -> torch.device:
        """Where crops are."""
        return self.first.device

    def crops(
        self,
        recordings: torch.Tensor,
        starts: torch.Tensor,
        n_frames: int,
        speed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Crops by index; a recording shorter than the crop is repeated from its start.

        Parameters
        ----------
        recordings, starts : Tensor, shape (n,), int64
            Row of the recording and first frame within it.
        n_frames : int
            Length of a crop.
        speed : Tensor, shape (n,), optional
            Frames of the recording for each frame of the crop: above 1 it plays faster.
            The nearest frame is taken; pitch stays. A crop that would play past the end of a
            recording starts earlier, or plays no faster than the whole recording fills it.

        Returns
        -------
        Tensor, shape (n, 1, n_mels, n_frames), float32
        """
        if self.streamed:
            (found,) = self.batches([recordings], [starts], n_frames, [speed])
            return found
        at = self._places(recordings, starts, n_frames, speed)
        return _turned(self.frames.index_select(0, at.flatten()).view(*at.shape, self.n_mels))

    def batches(
        self,
        recordings: Sequence[torch.Tensor],
        starts: Sequence[torch.Tensor],
        n_frames: int,
        speeds: Iterable[torch.Tensor | None] | None = None,
    ) -> Iterator[torch.Tensor]:
        """`crops` of one batch after another.

        Parameters
        ----------
        recordings, starts : sequence of Tensor
            Of every batch.
        speeds : iterable, optional
            Of every batch, on the device of `frames`.
        """
        batches = zip(recordings, starts, speeds or itertools.repeat(None), strict=False)
        if not self.streamed:
            for rows, first, speed in batches:
                yield self.crops(rows, first, n_frames, speed)
            return
        host = replace(self, first=self.first.cpu(), length=self.length.cpu())
        moved = [
            (rows.cpu(), first.cpu(), None if speed is None else speed.cpu())
            for rows, first, speed in batches
        ]
        read = (host._read(rows, first, n_frames, speed) for rows, first, speed in moved)
        for frames in ahead(read):
            yield _turned(to_device(frames, self.device))

    def _places(
        self,
        recordings: torch.Tensor,
        starts: torch.Tensor,
        n_frames: int,
        speed: torch.Tensor | None,
    ) -> torch.Tensor:
        """Rows of `frames`, (n, n_frames) int64."""
        offsets = torch.arange(n_frames, device=recordings.device)
        length = self.length[recordings, None]
        if speed is not None:
            whole = length >= n_frames  # shorter ones are repeated anyway
            most = (length - 1) / max(1, n_frames - 1)
            speed = torch.where(whole, torch.minimum(speed[:, None], most), speed[:, None])
            offsets = (offsets[None] * speed).round().long()
            latest = length - 1 - offsets[:, -1:]
            starts = torch.where(whole[:, 0], torch.minimum(starts, latest[:, 0]), starts)
        return self.first[recordings, None] + (starts[:, None] + offsets) % length

    def _read(
        self,
        recordings: torch.Tensor,
        starts: torch.Tensor,
        n_frames: int,
        speed: torch.Tensor | None,
    ) -> np.ndarray:
        """(n, n_frames, n_mels) float16, by numpy: torch's threads are busy with the model."""
        at = self._places(recordings, starts, n_frames, speed)
        return self.frames.numpy().take(at.numpy(), axis=0)

    def scale(self, recordings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and spread, (n, 1, 1, 1) each: mean + spread * crop is in dB (or PCEN) again."""
        if self.level is None:
            return torch.zeros(1, device=self.device), torch.ones(1, device=self.device)
        mean, spread = self.level[recordings].T[:, :, None, None, None]
        return mean, spread

    def to(self, device: torch.device) -> Bank:
        """Its crops on `device`; `frames`, too, where they leave half of the memory there free."""
        streamed = self.frames.nbytes > room_on(device) / 2
        return Bank(
            self.frames if streamed else self.frames.to(device),
            self.first.to(device),
            self.length.to(device),
            self.digest,
            None if self.level is None else self.level.to(device),
            streamed,
        )


def _turned(frames: torch.Tensor) -> torch.Tensor:
    """(n, n_frames, n_mels) float16 -> (n, 1, n_mels, n_frames) float32, in one pass."""
    turned = frames.transpose(1, 2).unsqueeze(1)
    return turned.to(torch.float32, memory_format=torch.contiguous_format)


def build(
    cohort: Cohort,
    config: FeatureSettings,
    on_progress: Callable[[int, int], None] | None = None,
) -> Bank:
    """The bank of a cohort: found in the cache, or computed by all cores and put there.

    Raises
    ------
    CohortError
        A recording is shorter than a window, or its rate is too low for `f_max_hz`.
    StorageError
        No room in the cache; nothing is left there.
    """
    return build_from(cohort.recordings, config.of_recordings, cohort.channel, on_progress)


def build_from(
    recordings: pd.DataFrame,
    config: FeatureSettings,
    channel: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Bank:
    """As `build`, of recordings that need be no cohort's.

    Parameters
    ----------
    recordings : DataFrame
        path, sample_rate_hz, n_samples, duration_s, sha256.
    """
    check_recordings(recordings, config)
    unique = recordings.drop_duplicates("sha256").sort_values("sha256")
    shas = unique["sha256"].tolist()
    digest = _digest(unique, config)
    folder = _folder(digest)
    sweep(folder.parent, ours=False)
    if folder.exists() and not is_whole(folder, "features"):
        discard(folder)
    if not folder.is_dir():
        with keeping(), writing_folder(folder, sums=True) as temporary:
            _compute(temporary, unique, transform_of(config), channel, on_progress)
    # Copy-on-write: pages are shared between processes, and nobody can alter the file.
    frames = np.load(folder / "frames.npy", mmap_mode="c")
    index = torch.from_numpy(np.load(folder / "index.npy"))
    row_of = {sha: row for row, sha in enumerate(shas)}
    rows = torch.tensor([row_of[sha] for sha in recordings["sha256"]])
    level = None
    if config.normalise == "recording":
        level = torch.from_numpy(np.load(folder / "level.npy"))[rows]
    length = index[rows + 1] - index[rows]
    return Bank(torch.from_numpy(frames), index[rows], length, digest, level)


def is_cached(cohort: Cohort, config: FeatureSettings) -> bool:
    """Whether `build` would find the bank."""
    unique = cohort.recordings.drop_duplicates("sha256").sort_values("sha256")
    return _folder(_digest(unique, config.of_recordings)).is_dir()


def _digest(unique: pd.DataFrame, config: FeatureSettings) -> str:
    content = [
        VERSION,
        for_digest(config, "features"),
        unique["sha256"].tolist(),
        unique["sample_rate_hz"].tolist(),
        *([source] if (source := source_of(config)) else []),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _folder(digest: str) -> Path:
    return cache_folder() / "features" / f"{digest}-{LAYOUT}"


def _compute(
    folder: Path,
    recordings: pd.DataFrame,
    transform: Transform,
    channel: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    paths = recordings["path"].tolist()
    counts, level = [], np.empty((len(paths), 2), dtype=np.float32)

    def one(path: str) -> tuple[np.ndarray, tuple[float, float]]:
        frames, scale = transform.measure(*read_samples(Path(path), channel))
        return kept(frames), scale

    # soundfile and torch let go of the interpreter lock, so threads are enough.
    n_threads = os.cpu_count() or 1
    with (
        (folder / "frames.npy").open("wb") as file,
        ThreadPoolExecutor(max_workers=n_threads) as pool,
    ):
        _write_header(file, 0, transform.config.n_mels)
        # A few more than are computed at once: memory holds no more than these.
        for row, (frames, scale) in enumerate(in_order(pool, one, paths, 4 * n_threads)):
            frames.tofile(file)
            counts.append(len(frames))
            level[row] = scale
            if on_progress:
                on_progress(row + 1, len(paths))
        file.seek(0)
        _write_header(file, sum(counts), transform.config.n_mels)
    index = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    np.save(folder / "index.npy", index)
    np.save(folder / "level.npy", level)


def _write_header(file: IO[bytes], n_frames: int, n_bands: int) -> None:
    """Of an array of float16; numpy leaves room in it for any number of rows."""
    about = {"descr": "<f2", "fortran_order": False, "shape": (n_frames, n_bands)}
    np.lib.format.write_array_header_1_0(file, about)


def check_recordings(table: pd.DataFrame, config: FeatureSettings) -> None:
    """Refuse recordings that are too short, or whose rate is too low.

    Parameters
    ----------
    table : DataFrame
        path, sample_rate_hz, n_samples.

    Raises
    ------
    CohortError
        With the recordings.
    """
    wanted_hz = config.sample_rate_hz
    lengths = [
        n_resampled(int(n), int(rate), wanted_hz)
        for n, rate in zip(table["n_samples"], table["sample_rate_hz"], strict=True)
    ]
    short = table[np.array(lengths) < config.least_samples]
    if len(short):
        least, way_out = f"features={config.kind} takes", "Remove them."
        if isinstance(config, FeatureConfig):
            least = f"features.window_s={config.window_s:g} and features.n_fft={config.n_fft} take"
            way_out = "Remove them, or lower these two."
        raise CohortError(
            f"{counted(len(short), 'recording is', 'recordings are')} shorter than "
            f"{config.least_samples / wanted_hz:g} s, which {least}: {listing(short['path'])}. "
            f"{way_out}"
        )
    low = table[table["sample_rate_hz"] < 2 * config.f_max_hz]
    if len(low):
        rate = int(low["sample_rate_hz"].min())
        raise CohortError(
            f"{counted(len(low), 'recording has', 'recordings have')} a sample rate as low as "
            f"{rate} Hz, which holds nothing above {rate / 2:g} Hz, "
            f"and features.f_max_hz is {config.f_max_hz:g}: "
            f"{listing(low['path'])}. Lower features.f_max_hz to {rate / 2:g} or remove them."
        )
