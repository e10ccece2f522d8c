"""The name of every file; `kfold_hs.files.atomic` writes them.

    reports/<run>/    config.yaml  cohort.json  split.json  predictions.parquet  scored.parquet
                      history.csv  summary.json  gallery.json  report.html  tensorboard/
                      segmentation.parquet (with a frame branch)
    checkpoints/<run>/r0-s0-f0/   best_model.pt  last.pt  inner.pt  resume.pt
                                  history.csv  segmentation.parquet (with a frame branch)
                                  predictions.parquet   (last: the fold is done)
                                  failed.json   (why the last attempt at it failed)
    checkpoints/best_model.pt     the best fold of the latest run
    reports/<evaluation>/         predictions.parquet  scored.parquet  summary.json  report.html
                                  tables/
    reports/<comparison>/         plan.json  comparison.json  comparison.html
                                  <run>.parquet (a variant predicted by another variant's models)
    reports/<search>/             tune.json  tune.html  study.db  space.json  trials/<number>.json
                                  <run>.parquet
    reports/<validation>/         validation.json  predictions.csv  validation.html
    <paper>/                      paper.html  paper.md  paper.docx  paper.tex  paper.json
                                  numbers.csv  figures/   (where -o says)
    reports/index.html            the list of all (`kfold-hs report`)

The checksums of a folder's files are in its folder `.sha256/`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from kfold_hs.errors import ConfigError
from kfold_hs.files.atomic import (
    discard,
    remove,
    storage_error,
    sweep,
    write_bytes,
    write_json,
    write_text,
    writing,
    writing_folder,
)

__all__ = [
    "ComparisonPaths", "FoldId", "FoldPaths", "RunPaths", "TunePaths", "ValidationPaths",
    "check_name", "discard", "refuse_overwriting", "remove", "storage_error",
    "sweep", "whose", "write_bytes", "write_json", "write_text", "writing", "writing_folder",
]  # fmt: skip


class FoldId(NamedTuple):
    """Which fold model of a run: its repeat, its seed and its fold, all from 0."""

    repeat: int
    seed: int
    fold: int

    @property
    def name(self) -> str:
        """Of its folder, e.g. ``r0-s0-f3``."""
        return f"r{self.repeat}-s{self.seed}-f{self.fold}"


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
        """With select=inner: the epoch chosen by the validation persons."""
        return self.folder / "inner.pt"

    def kept_model(self, select: str) -> Path:
        """The model of the epoch chosen by `select`."""
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
    def segmentation(self) -> Path:
        """Heart cycles of the held-out recordings, with a frame branch; before the predictions."""
        return self.folder / "segmentation.parquet"

    @property
    def fault(self) -> Path:
        """Why the last training of this fold failed; removed once the fold is trained."""
        return self.folder / "failed.json"

    @property
    def lock(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.lock")

    @property
    def is_done(self) -> bool:
        """Whether the fold is trained: predictions are written last."""
        return self.predictions.exists()


@dataclass(frozen=True)
class RunPaths:
    """Files of one run, by its name, under `root` (the working directory by default)."""

    name: str
    root: Path = Path()
    reports: str = "reports"

    @property
    def report_folder(self) -> Path:
        return self.root / self.reports / self.name

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
        """The predictions that the headline scores: one row for each patient and repeat."""
        return self.report_folder / "scored.parquet"

    @property
    def history(self) -> Path:
        return self.report_folder / "history.csv"

    @property
    def summary(self) -> Path:
        return self.report_folder / "summary.json"

    @property
    def segmentation(self) -> Path:
        """Heart cycles of all recordings, out of fold; where there is a frame branch."""
        return self.report_folder / "segmentation.parquet"

    @property
    def gallery(self) -> Path:
        return self.report_folder / "gallery.json"

    @property
    def report(self) -> Path:
        return self.report_folder / "report.html"

    @property
    def lock(self) -> Path:
        return self.checkpoint_folder / ".lock"

    def tensorboard(self, fold: FoldId) -> Path:
        return self.report_folder / "tensorboard" / fold.name

    def fold(self, fold: FoldId) -> FoldPaths:
        return FoldPaths(self.checkpoint_folder / fold.name)


@dataclass(frozen=True)
class _ResultPaths:
    """Files of what several runs were made for, by its name, under `root`."""

    name: str
    root: Path = Path()
    reports: str = "reports"
    stem: ClassVar[str]
    """Of content and page, by which a folder is known to be of this kind."""

    @property
    def folder(self) -> Path:
        return self.root / self.reports / self.name

    @property
    def content(self) -> Path:
        return self.folder / f"{self.stem}.json"

    @property
    def page(self) -> Path:
        return self.folder / f"{self.stem}.html"

    def predictions(self, run: str) -> Path:
        """Predictions of a variant or trial by another one's models; `run` is its run."""
        return self.folder / f"{run}.parquet"

    @property
    def is_run(self) -> bool:
        """Whether a run has this name."""
        return RunPaths(self.name, self.root, self.reports).config.exists()

    @property
    def is_other(self) -> bool:
        """Whether a run, or results of another kind, have this name."""
        others = {each.stem for each in _ResultPaths.__subclasses__()} - {self.stem}
        return self.is_run or any((self.folder / f"{stem}.json").exists() for stem in others)


@dataclass(frozen=True)
class ComparisonPaths(_ResultPaths):
    """Files of one comparison; its runs have folders of their own."""

    stem: ClassVar[str] = "comparison"

    @property
    def plan(self) -> Path:
        """Its variants and folds; written before the first variant is trained."""
        return self.folder / "plan.json"


@dataclass(frozen=True)
class TunePaths(_ResultPaths):
    """Files of one search; its trials' runs have folders of their own."""

    stem: ClassVar[str] = "tune"

    @property
    def study(self) -> Path:
        return self.folder / "study.db"

    @property
    def terms(self) -> Path:
        """Space, data and objective of the search; another search in its folder is refused."""
        return self.folder / "space.json"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    def trial(self, number: int) -> Path:
        """The result of a trial; it exists once the trial is over."""
        return self.folder / "trials" / f"{number}.json"

    def trial_lock(self, number: int) -> Path:
        """The lock of the process that works on the trial."""
        return self.folder / "trials" / f".{number}.lock"


@dataclass(frozen=True)
class ValidationPaths(_ResultPaths):
    """Files of one external validation of a bundle."""

    stem: ClassVar[str] = "validation"

    @property
    def rows(self) -> Path:
        """Labels and probabilities, a row a patient."""
        return self.folder / "predictions.csv"


@dataclass(frozen=True)
class LearningCurvePaths(_ResultPaths):
    """Files of one learning curve over people; its runs have folders of their own."""

    stem: ClassVar[str] = "learning_curve"


def check_name(name: str) -> str:
    """Check a run's name, which names a folder: letters, digits, dot, dash and underscore.

    Raises
    ------
    ConfigError
        The name has other characters, or is too long.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(
            f"--name {name!r} cannot name a folder. Use up to 100 letters, digits, '.', '_' and "
            "'-'; the first character must be a letter or digit."
        )
    return name


def refuse_overwriting(output: Path, read: Iterable[Path]) -> None:
    """Refuse to overwrite a file that is read, such as a user's table or recording.

    Raises
    ------
    ConfigError
        `output` is one of these files, maybe by another name.
    """
    if output.is_file() and any(output.samefile(each) for each in read if os.path.isfile(each)):  # noqa: PTH113
        raise ConfigError(
            f"-o {output} would overwrite a file that this command reads. Name another file."
        )


def whose(folder: Path) -> tuple[str, Path, str]:
    """Name, root and name of the reports' folder of the run or comparison in `folder`.

    Links are not followed: `reports`, the folder itself or a folder above may be a link, and the
    other files of a run are found by the names that the user sees.
    """
    here = Path(os.environ.get("PWD", ""))
    if not (here.is_absolute() and here.is_dir() and here.samefile(".")):
        here = Path.cwd()  # the same folder, with links followed
    path = Path(os.path.normpath(here / folder))
    if folder.exists() and not (path.exists() and path.samefile(folder)):  # `link/..`
        path = folder.resolve()
    return path.name, path.parent.parent, path.parent.name


_OF_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_LONGEST_NAME = 150
"""Bytes; file systems allow 255, and a suffix and a temporary ending are added."""


def file_name(name: str) -> str:
    """An id or another word of a user as the name of one file; equal words have equal names.

    Letters, digits and harmless signs stay. Other characters (a slash, a control character, a dot
    at the start, %) become %XX, as in a URL, so that different words have different names. A name
    of more than 150 bytes is cut, and ends in ~ and the start of its SHA-256.
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
