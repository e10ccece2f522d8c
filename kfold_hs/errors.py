"""All errors that a user can solve; their messages are written for the user.

KfoldHsError                 exit 1: the message names the value, what is allowed, what to do
|-- ConfigError              exit 2: a key, type or value of the configuration
|-- CohortError              recordings or labels on disk are not usable
|-- SplitError               persons cannot be split as asked, or a split does not fit
|   `-- SplitterInputError   what was given to a scikit-learn splitter; also a ValueError
|-- PredictionsError         a table of predictions breaks one of its rules
|-- WeightsError             pretrained weights are missing or do not fit
|-- BundleError              a bundle cannot be made or read, or was changed
|-- TrainingError            a fold could not be trained
|   |-- DivergedError        its loss is not a number, or far too large
|   `-- UnfinishedError      some folds could not be trained; the others are kept
|       `-- MemoryFullError  the memory was full; these folds can be trained again
|-- ClusterError             there is no such cluster, or its nodes cannot train
|-- DeviceError              a GPU failed during training
|-- StorageError             a file could not be written: disk full, no permission
`-- DamagedFileError         a file of kfold-hs is damaged or was changed
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

LONGEST_MESSAGE = 1500
"""Most characters of an error message; a longer one is cut in the middle."""
_TOO_LONG = re.compile(r"\S{400,}")


class KfoldHsError(Exception):
    """Base of every error that the user can solve; printed without a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        """The message: at most `LONGEST_MESSAGE` printable characters."""
        return readable(super().__str__())


class ConfigError(KfoldHsError):
    """A wrong configuration; exit status 2, as for wrong usage."""

    exit_code = 2


class CohortError(KfoldHsError):
    """Recordings or labels on disk that cannot be used."""


class SplitError(KfoldHsError):
    """Persons who cannot be split as asked, or a split that belongs to other data."""


class SplitterInputError(SplitError, ValueError):
    """Input that a splitter refuses; a ValueError too, as scikit-learn's splitters raise."""


class PredictionsError(KfoldHsError):
    """A table of predictions that breaks one of its rules."""


class WeightsError(KfoldHsError):
    """Pretrained weights that are missing or do not fit."""


class BundleError(KfoldHsError):
    """A bundle that cannot be made from a run, cannot be read, or was changed."""


class TrainingError(KfoldHsError):
    """A fold that could not be trained."""


class DivergedError(TrainingError):
    """A training whose loss is not a number, or far too large; see `learn.training.divergence`.

    `epoch` and `step` of the epoch count from 0; `step` is None after the last one.
    """

    def __init__(self, text: str, epoch: int, step: int | None, cause: str) -> None:
        super().__init__(text)
        self.epoch, self.step, self.cause = epoch, step, cause


class UnfinishedError(TrainingError):
    """Folds that could not be trained; raised after all other folds are trained."""


class MemoryFullError(UnfinishedError):
    """Folds without enough memory; trained again with fewer other folds, they may have it."""


class DeviceError(KfoldHsError):
    """A device that failed; the computation itself is not at fault."""


class ClusterError(KfoldHsError):
    """A cluster that does not exist, has no room, or whose nodes lack what a fold needs."""


class StorageError(KfoldHsError):
    """A file that could not be written."""


class DamagedFileError(KfoldHsError):
    """A file of kfold-hs that is damaged, or was changed after it was written.

    Parameters
    ----------
    what : str
        The content of the file, e.g. "the summary".
    path : Path
    fault : str
        What is wrong with the file.
    way_out : str
        What to do, in sentences.
    """

    def __init__(self, what: str, path: Path, fault: str, way_out: str = "") -> None:
        super().__init__(f"cannot read {what} {path}: {fault}. {way_out}".strip())
        self.path, self.fault = path, fault


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, or None where none is close."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """A message for an unknown name: the known names, and a guess."""
    return f"unknown {kind} {name!r}; {known_names(name, known)}"


def known_names(name: str, known: Iterable[str]) -> str:
    """The end of such a message: the known names, and a guess."""
    names = sorted(known)
    guess = nearest(name, names)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"there is {', '.join(names) or 'none'}.{hint}"


def listing(items: Iterable[object], most: int = 5) -> str:
    """At most `most` items for an error message, and how many more there are."""
    shown = [str(item) for item in items]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {rest} more" if rest > 0 else "")


def shown(value: object, most: int = 80) -> str:
    """A value for an error message: as Python writes it, cut, and printable."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # e.g. an integer with thousands of digits
        text = f"a value of type {type(value).__name__}"
    if len(text) > most:
        text = f"{text[: most - 3]}..."
    return readable(text)


def readable(text: str, most: int = LONGEST_MESSAGE) -> str:
    """Text that a terminal can show: no control characters, at most `most` characters.

    Of a word of 400 characters or more its ends are enough.
    """
    text = _cut(_TOO_LONG.sub(lambda word: _cut(word[0], 80), text), most)
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _cut(text: str, most: int) -> str:
    ends = (most - 5) // 2
    return text if len(text) <= most else f"{text[:ends]} ... {text[-ends:]}"


def enumerated(names: Iterable[str]) -> str:
    """All names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def counted(n: int, one: str, many: str | None = None) -> str:
    """A count, such as 1 person or 1,204 people; `many` is by default `one` with an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
