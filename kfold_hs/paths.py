"""The name of every file a run leaves, and the one way files are written.

    reports/<run>/    config.yaml  cohort.json  split.json  predictions.parquet  scored.parquet
                      history.csv  summary.json  gallery.json  report.html  tensorboard/
    checkpoints/<run>/r0-s0-f0/   best_model.pt  last.pt  inner.pt  resume.pt
                                  history.csv  predictions.parquet   (last: the fold is done)
                                  failed.json   (why the last attempt at it failed)
    checkpoints/best_model.pt     the best fold of the latest run
    reports/<comparison>/         comparison.json  comparison.html  <run>.parquet (a variant that
                                  another one's models predicted)
    reports/<tune>/               tune.json  tune.html  study.db  space.json  trials/<number>.json
                                  <run>.parquet
    reports/index.html            all of them (`kfold-hs report`)

A file is written under a temporary name beside its target, flushed to the disk
and renamed, so that no reader and no later run ever sees half of one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfold_hs.errors import ConfigError, StorageError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class FoldPaths:
    """Files of one trained fold, under `checkpoints/<run>/r<repeat>-s<seed>-f<fold>/`."""

    folder: Path

    @property
    def best_model(self) -> Path:
        return self.folder / "best_model.pt"

    @property
    def last_model(self) -> Path:
        return self.folder / "last.pt"

    @property
    def inner_model(self) -> Path:
        """With select=inner: the epoch that the inner people chose."""
        return self.folder / "inner.pt"

    def kept_model(self, select: str) -> Path:
        """The model of the epoch that `select` keeps."""
        return {"last": self.last_model, "best": self.best_model, "inner": self.inner_model}[select]

    @property
    def resume(self) -> Path:
        return self.folder / "resume.pt"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.parquet"

    @property
    def fault(self) -> Path:
        """Why the last attempt at this fold failed; gone once it is trained."""
        return self.folder / "failed.json"

    @property
    def lock(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.lock")

    @property
    def is_done(self) -> bool:
        """Predictions are written last, so their presence says that the fold is done."""
        return self.predictions.exists()


@dataclass(frozen=True)
class RunPaths:
    """Files of one run, by its name, under `root` (the working directory by default)."""

    name: str
    root: Path = Path()

    @property
    def report_folder(self) -> Path:
        return self.root / "reports" / self.name

    @property
    def checkpoint_folder(self) -> Path:
        return self.root / "checkpoints" / self.name

    @property
    def overall_best_model(self) -> Path:
        return self.root / "checkpoints" / "best_model.pt"

    @property
    def config(self) -> Path:
        return self.report_folder / "config.yaml"

    @property
    def cohort(self) -> Path:
        return self.report_folder / "cohort.json"

    @property
    def split(self) -> Path:
        return self.report_folder / "split.json"

    @property
    def predictions(self) -> Path:
        return self.report_folder / "predictions.parquet"

    @property
    def scored(self) -> Path:
        """What the headline scores: a row a patient and repeat, seeds averaged, stacked."""
        return self.report_folder / "scored.parquet"

    @property
    def history(self) -> Path:
        return self.report_folder / "history.csv"

    @property
    def summary(self) -> Path:
        return self.report_folder / "summary.json"

    @property
    def gallery(self) -> Path:
        return self.report_folder / "gallery.json"

    @property
    def report(self) -> Path:
        return self.report_folder / "report.html"

    @property
    def lock(self) -> Path:
        return self.checkpoint_folder / ".lock"

    def tensorboard(self, repeat: int, seed: int, fold: int) -> Path:
        return self.report_folder / "tensorboard" / fold_name(repeat, seed, fold)

    def fold(self, repeat: int, seed: int, fold: int) -> FoldPaths:
        return FoldPaths(self.checkpoint_folder / fold_name(repeat, seed, fold))


@dataclass(frozen=True)
class ComparisonPaths:
    """Files of one comparison, by its name, under `root`; its runs have folders of their own."""

    name: str
    root: Path = Path()

    @property
    def folder(self) -> Path:
        return self.root / "reports" / self.name

    @property
    def content(self) -> Path:
        return self.folder / "comparison.json"

    @property
    def page(self) -> Path:
        return self.folder / "comparison.html"

    def predictions(self, run: str) -> Path:
        """Of a variant that another variant's models predicted; `run` would be its run's name."""
        return self.folder / f"{run}.parquet"

    @property
    def is_run(self) -> bool:
        """Whether a run has this name."""
        return RunPaths(self.name, self.root).config.exists()


@dataclass(frozen=True)
class TunePaths:
    """Files of one search, by its name, under `root`; its trials' runs have their own folders."""

    name: str
    root: Path = Path()

    @property
    def folder(self) -> Path:
        return self.root / "reports" / self.name

    @property
    def content(self) -> Path:
        return self.folder / "tune.json"

    @property
    def page(self) -> Path:
        return self.folder / "tune.html"

    @property
    def study(self) -> Path:
        return self.folder / "study.db"

    @property
    def terms(self) -> Path:
        """What is searched, where, for what: a search of another kind is refused."""
        return self.folder / "space.json"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    def trial(self, number: int) -> Path:
        """What became of a trial; it exists = the trial is over."""
        return self.folder / "trials" / f"{number}.json"

    def trial_lock(self, number: int) -> Path:
        """Held by the process that works on the trial."""
        return self.folder / "trials" / f".{number}.lock"

    def predictions(self, run: str) -> Path:
        """Of a trial that another trial's models predicted; `run` would be its run's name."""
        return self.folder / f"{run}.parquet"

    @property
    def is_other(self) -> bool:
        """Whether a run or a comparison has this name."""
        other = ComparisonPaths(self.name, self.root)
        return other.is_run or other.content.exists()


def fold_name(repeat: int, seed: int, fold: int) -> str:
    """Folder name of one fold, e.g. ``r0-s0-f3``; all three count from 0."""
    return f"r{repeat}-s{seed}-f{fold}"


def check_name(name: str) -> str:
    """A run's name becomes a folder: letters, digits, dot, dash and underscore.

    Raises
    ------
    ConfigError
        For any other name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(
            f"--name {name!r} cannot name a folder: use up to 100 letters, digits, '.', '_' "
            "and '-', beginning with a letter or digit."
        )
    return name


def cache_folder() -> Path:
    """Where features and the built-in cohort are kept between runs.

    `KFOLD_HS_CACHE`, else `XDG_CACHE_HOME`/kfold-hs, else ~/.cache/kfold-hs.
    Everything in it is addressed by its content and can be deleted at any time.
    """
    if folder := os.environ.get("KFOLD_HS_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kfold-hs"


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success.

    Raises
    ------
    StorageError
        When there is no room or no permission; the temporary file is removed.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed `writing` left; nobody else may be writing there."""
    for path in folder.glob(".*.????????"):
        if path.is_file():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(target: Path) -> Iterator[Path]:
    """As `writing`, for a whole folder. A folder that another process put there first stays."""
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield temporary
        for path in temporary.rglob("*"):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        try:
            temporary.replace(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def storage_error(error: OSError, target: Path) -> StorageError:
    """The error of the disk in words that say what to do."""
    if error.errno in _NO_ROOM:
        return StorageError(
            f"no room to write {target}: {error.strerror}. Nothing half-written was left; "
            "free some space (or run from a folder on another disk) and repeat the same "
            "command, which goes on where it stopped."
        )
    return StorageError(f"cannot write {target}: {error.strerror or error}.")


def write_bytes(target: Path, content: bytes | memoryview) -> None:
    """Write `content` to `target`, whole or not at all."""
    with writing(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 `text` to `target`, whole or not at all."""
    write_bytes(target, text.encode())


def write_json(target: Path, value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Write `value` as indented JSON; NaN is refused, since JSON has none."""
    write_text(target, json.dumps(value, indent=1, allow_nan=False, default=default) + "\n")


_OF_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_LONGEST_NAME = 150
"""Bytes; file systems take 255, and a suffix and a temporary file's ending come on top."""


def file_name(name: str) -> str:
    """An id or another user's word as the name of one file, the same for the same word.

    Letters, digits and what is harmless stay; all else (a slash, a control character, a dot at the
    beginning, %) is written as %XX, as in a URL, so that different words have different names. A
    name of more than 150 bytes is cut, and ends in ~ and the beginning of its SHA-256.
    """
    kept = "".join(
        each if each.isalnum() or each in " -_.,+=@()[]{}#~!" else _percent(each) for each in name
    )
    if not kept or kept[0] in ". -~" or kept[-1] in ". " or _OF_DEVICES.match(kept):
        kept = (_percent(name[0]) if name else "%") + kept[1:]
        if kept[-1] in ". ":
            kept = kept[:-1] + _percent(kept[-1])
    if len(kept.encode()) <= _LONGEST_NAME:
        return kept
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return kept.encode()[: _LONGEST_NAME - 17].decode(errors="ignore") + f"~{digest}"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))
