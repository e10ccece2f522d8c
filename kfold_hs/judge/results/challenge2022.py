"""The scores that the official script of the 2022 challenge reports, from folders of files.

auroc               area under TPR over TNR at distinct scores, by trapezoids: of each class
                    against the rest, and the mean over the classes where it is defined
auprc               the same for precision over recall, by steps
f_measure           2 TP / (2 TP + FP + FN), likewise
accuracy            share called by their label; of classes: of the patients of each
weighted_accuracy   see `challenge`
cost                see `challenge`; of murmurs, too, scored against the outcome

Probabilities are only ranked; who is called what is said by the labels of the output.

Reyna et al., "Heart murmur detection from phonocardiogram recordings: The George B.
Moody PhysioNet Challenge 2022", PLOS Digital Health 2(9), 2023.

Labels and outputs on disk, as the official scorer of the 2022 challenge reads them.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.errors import CohortError, PredictionsError, listing
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME, class_costs, cost
from kfold_hs.judge.metrics.counts import ratio
from kfold_hs.judge.metrics.scores import accuracy, auprc, auroc, weighted_accuracy

_TABLE = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f_measure": "F-measure",
    "accuracy": "Accuracy",
    "weighted_accuracy": "Weighted Accuracy",
    "cost": "Cost",
}
_BY_CLASS = ("auroc", "auprc", "f_measure", "accuracy")


def score_folders(labels: Path, outputs: Path) -> dict[str, Any]:
    """Scores of a folder of outputs; raises as `challenge_files.read_entries`.

    Returns
    -------
    dict
        murmur and outcome, each with auroc, auprc, auroc_classes, auprc_classes, f_measure,
        f_measure_classes, accuracy, accuracy_classes, weighted_accuracy and cost. Classes are in
        the order of `challenge_files.CLASSES`; None where a score is not defined.
    """
    entries = read_entries(labels, outputs)
    abnormal = entries["outcome"].y_true == 0
    return {task: _scores(task, each, abnormal) for task, each in entries.items()}


def as_text(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores laid out as the official script prints them, with three decimals."""
    blocks = []
    for task, found in scores.items():
        head = f"#{task.capitalize()} scores"
        blocks.append([head, ",".join(_TABLE.values()), _row([found[name] for name in _TABLE])])
    for task, found in scores.items():
        head = f"#{task.capitalize()} scores (per class)"
        rows = [f"{_TABLE[name]},{_row(found[f'{name}_classes'])}" for name in _BY_CLASS]
        blocks.append([head, ",".join(["Classes", *CLASSES[task]]), *rows])
    return "\n".join("".join(f"{line}\n" for line in block) for block in blocks)


def _scores(task: str, found: Entries, abnormal: np.ndarray) -> dict[str, Any]:
    n_classes, once = len(CLASSES[task]), np.ones((1, len(found.y_true)))
    costs = class_costs(CLASSES[task])
    assert costs is not None
    called = np.eye(n_classes)[found.y_called]
    label = np.eye(n_classes)[found.y_true]
    hits = (label * called).sum(axis=0)
    # Present and Unknown are referred, Absent is not: the last class is never.
    referred = found.y_called < n_classes - 1
    by_class = {
        "auroc": [float(auroc(found.y_true, found.y_prob, c, once)[0]) for c in range(n_classes)],
        "auprc": [float(auprc(found.y_true, found.y_prob, c, once)[0]) for c in range(n_classes)],
        "f_measure": ratio(2 * hits, label.sum(axis=0) + called.sum(axis=0)).tolist(),
        "accuracy": ratio(hits, label.sum(axis=0)).tolist(),
    }
    of_all = {name: _mean(values) for name, values in by_class.items()}
    of_all["accuracy"] = float(accuracy(found.y_true, called, 0, once)[0])
    of_all["weighted_accuracy"] = float(weighted_accuracy(costs)(found.y_true, called, 0, once)[0])
    of_all["cost"] = float(cost(referred, abnormal, once)[0])
    return {name: _defined(value) for name, value in of_all.items()} | {
        f"{name}_classes": [_defined(value) for value in values]
        for name, values in by_class.items()
    }


def _mean(values: Sequence[float]) -> float:
    """Over the classes where it is defined."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _row(values: Sequence[float | None]) -> str:
    return ",".join("nan" if value is None else f"{value:.3f}" for value in values)


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
            y_true=np.array([single_class([each[task] == name.casefold() for name in names])
                             for each in truth]),
            y_called=np.array([single_class([each.labels.get(n.casefold(), False) for n in names])
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


def single_class(row: list[bool]) -> int:
    """The class that a row says; the first of the task where none or several are true."""
    return row.index(True) if sum(row) == 1 else 0
