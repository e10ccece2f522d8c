"""Labels and outputs on disk, as the official scorer of the 2022 challenge reads them.

    LABELS/<id>.txt     lines "#Murmur: Present" and "#Outcome: Abnormal" among others
    OUTPUTS/<id>.csv    "#<id>", then a line each of classes, of labels and of probabilities:

                        #49577
                        Present,Unknown,Absent,Abnormal,Normal
                        1,0,0,1,0
                        0.8,0.15,0.05,0.7,0.3

Classes come in any order and case. A label is true when it is a number equal to 1, or one of
True, true, T and t; a probability that is no number becomes 0, and an infinite one is the highest
or the lowest of all; quotes and blanks around values do not count. A class that an output lacks is
false, with probability 0. A row of which none or several classes are true says Present, or
Abnormal: be it a label, be it an output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kfold_hs.errors import CohortError, PredictionsError, listing
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME

FIELDS = {"murmur": "#Murmur:", "outcome": "#Outcome:"}
CLASSES = {"murmur": MURMUR, "outcome": OUTCOME}
"""By task; the first class is what a row says of which none or several classes are true."""
_TRUE = {"True", "true", "T", "t"}
_KNOWN = {name.casefold() for names in CLASSES.values() for name in names}


@dataclass(frozen=True, eq=False)
class Entries:
    """One task of all patients, in the order of their files.

    y_true, y_called : ndarray of int, shape (n,)
        Class of the label, and class that the output calls; indices into `CLASSES`.
    y_prob : ndarray, shape (n, C)
        Probabilities as they stand in the files: they need not sum to 1, nor be finite.
    """

    y_true: np.ndarray
    y_called: np.ndarray
    y_prob: np.ndarray


@dataclass(frozen=True)
class Output:
    """What one output file says of each class, by its name in lower case."""

    labels: dict[str, bool]
    probabilities: dict[str, float]


def read_entries(labels: Path, outputs: Path) -> dict[str, Entries]:
    """Every patient of the folder of labels with their output, by task.

    Outputs of patients who are not among the labels are not looked at.

    Raises
    ------
    CohortError
        A folder is missing, there are no labels, or one lacks its murmur or outcome.
    PredictionsError
        A patient has no output, or a file that cannot be read.
    """
    for folder, what in ((labels, "the labels <id>.txt"), (outputs, "the outputs <id>.csv")):
        if not folder.is_dir():
            raise CohortError(f"{folder} is not a folder; it must hold {what}.")
    files = [
        path
        for path in sorted(labels.iterdir())
        if path.suffix.lower() == ".txt" and not path.name.startswith(".") and path.is_file()
    ]
    if not files:
        raise CohortError(f"{labels} holds no labels: a file <id>.txt for each patient.")
    missing = [path.stem for path in files if not (outputs / f"{path.stem}.csv").is_file()]
    if missing:
        raise PredictionsError(
            f"{len(missing)} of {len(files)} patients of {labels} have no <id>.csv in {outputs}: "
            f"{listing(missing)}. Every patient must be scored; write the missing files."
        )
    truth = [read_label(path) for path in files]
    found = [read_output(outputs / f"{path.stem}.csv") for path in files]
    return {
        task: Entries(
            y_true=np.array([_single([each[task] == name.casefold() for name in names])
                             for each in truth]),
            y_called=np.array([_single([each.labels.get(name.casefold(), False) for name in names])
                               for each in found]),
            y_prob=np.array([[each.probabilities.get(name.casefold(), 0.0) for name in names]
                             for each in found]),
        )
        for task, names in CLASSES.items()
    }  # fmt: skip


def read_label(path: Path) -> dict[str, str]:
    """Murmur and outcome of a patient in lower case, as they stand in <id>.txt."""
    found = {}
    for line in _lines(path, CohortError):
        for task, field in FIELDS.items():
            if line.startswith(field):
                found[task] = line.removeprefix(field).strip().casefold()
    if missing := [field for task, field in FIELDS.items() if task not in found]:
        raise CohortError(
            f"{path} has no line {listing(missing)}. The challenge's hidden data have no labels; "
            "score on a folder that does."
        )
    return found


def read_output(path: Path) -> Output:
    """Labels and probabilities of one <id>.csv.

    Raises
    ------
    PredictionsError
        It has not the four lines, is of another patient, or has a class without a value.
    """
    lines = _lines(path, PredictionsError)
    if len(lines) < 4:
        raise PredictionsError(
            f"{path} has {len(lines)} lines; an output has four: #{path.stem}, the classes, their "
            "labels (0 or 1) and their probabilities."
        )
    if (patient := lines[0].replace("#", "").strip()) != path.stem:
        raise PredictionsError(
            f"{path} begins with {lines[0].strip()!r}, and the file of this patient begins with "
            f"'#{path.stem}': it is patient {patient!r}'s, or was renamed."
        )
    classes = [name.strip().casefold() for name in lines[1].split(",")]
    # A model that failed on a patient leaves all three lines empty.
    if any(classes) and not _KNOWN & set(classes):
        raise PredictionsError(
            f"{path} has the classes {lines[1].strip()!r}, and none is a class of the challenge: "
            f"{', '.join([*MURMUR, *OUTCOME])}."
        )
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise PredictionsError(f"{path} names the class {listing(twice)} more than once.")
    rows = []
    for kind, line in zip(("labels", "probabilities"), lines[2:], strict=False):
        values = [each.replace('"', "").replace("'", "").strip() for each in line.split(",")]
        if len(values) < len(classes) or any(values[len(classes) :]):
            raise PredictionsError(
                f"{path} has {len(classes)} classes and {len(values)} {kind}; each class has one."
            )
        rows.append(values)
    return Output(
        {name: _is_true(each) for name, each in zip(classes, rows[0], strict=False)},
        {name: _number(each) for name, each in zip(classes, rows[1], strict=False)},
    )


def _lines(path: Path, error: type[CohortError | PredictionsError]) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise error(f"cannot read {path}: {fault}.") from fault
    return text.removesuffix("\n").split("\n")


def _is_true(text: str) -> bool:
    return _number(text) == 1 or text in _TRUE


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(value) else value


def _single(row: list[bool]) -> int:
    """The class that a row says; the first of the task where none or several are true."""
    return row.index(True) if sum(row) == 1 else 0
