"""Folders of predictions and tables of labels, as one table.

FOLDER/<id>.csv        outputs of the PhysioNet/CinC Challenge 2022
FOLDER/fold_0.csv ...  a table a fold
FOLDER/fold_0/...      a folder a fold, as nnU-Net names them, with the held-out cases in it or in
                       its folder validation/: outputs of the challenge, tables, or a file a case,
                       <case>.npz, whose array `probabilities` (or `softmax`) has a number a class
FOLDER                 of a run or an evaluation of ours: what its headline scored

nnU-Net itself segments: an array with more than a number a class is refused. The names of the
classes are those of `labels` in dataset.json, in the folder or above it (nnU-Net's own file), else
0, 1, ...

Labels are a table with an id and what is true of each patient, or the challenge's folder of
<id>.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.ids import clean_name
from kfold_hs.cohort.readers.circor import link_persons
from kfold_hs.errors import CohortError, PredictionsError, counted, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, whose
from kfold_hs.judge.results.challenge2022 import CLASSES, read_label, read_output, single_class
from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.predictions.import_columns import usual_column
from kfold_hs.predictions.imported import read_table

_FOLD = re.compile(r"(?:fold|split|cv)?[ _-]?(\d{1,4})", re.IGNORECASE)
_TABLES = {".csv", ".tsv", ".parquet", ".pq"}
_CASES = {".npz"}
_LINKED = "Additional ID"
_CASE_ARRAYS = ("probabilities", "softmax")


def read_folder(folder: Path) -> pd.DataFrame:
    """The predictions of a folder; labels are in them only where its tables have them.

    Raises
    ------
    PredictionsError
        There are none in it, or a file cannot be read.
    """
    paths = RunPaths(*whose(folder))
    for own in (paths.scored, paths.predictions):
        if own.is_file():
            return read_table(own)
    folds = {each: _fold_of(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    named = {each: fold for each, fold in folds.items() if fold is not None}
    if named:
        parts = []
        for each, fold in named.items():
            inside = each / "validation"
            parts.append(_of_one(inside if inside.is_dir() else each).assign(fold=fold))
        return _joined(parts, folder)
    return _of_one(folder)


def said_beside(path: Path) -> dict[str, Any]:
    """What the summary says of predictions that are ours: simulated and headline.

    Parameters
    ----------
    path : Path
        A folder of a run or an evaluation, or its table of predictions; of others nothing is said.
    """
    paths = RunPaths(*whose(path if path.is_dir() else path.parent))
    own = (paths.scored, paths.predictions)
    if not paths.summary.is_file() or not (path.is_dir() or path.name in [f.name for f in own]):
        return {}
    summary = stored.read_json(paths.summary, "the summary")
    with stored.making_sense_of(paths.summary):
        key = summary["headline"].get("key") or ""  # earlier versions had one headline
        return {"simulated": is_simulated(summary), "headline": str(key)}


def _fold_of(path: Path) -> str | None:
    found = _FOLD.fullmatch(path.stem if path.is_file() else path.name)
    return found[1] if found else None


def _of_one(folder: Path) -> pd.DataFrame:
    """Of the files of one folder: outputs of the challenge, cases, or tables."""
    files = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    cases = [each for each in files if each.suffix.lower() in _CASES]
    tables = [each for each in files if each.suffix.lower() in _TABLES and each.is_file()]
    outputs = [each for each in tables if each.suffix.lower() == ".csv" and _is_output(each)]
    if outputs:
        if rest := [each.name for each in tables if each not in outputs]:
            raise PredictionsError(
                f"{folder} holds outputs of the challenge and {counted(len(rest), 'other table')}: "
                f"{listing(rest)}. Remove these, or give them by themselves."
            )
        return pd.DataFrame([_output(each) for each in outputs])
    if cases:
        return _cases(cases, folder)
    if not tables:
        raise PredictionsError(
            f"{folder} holds no predictions: no tables (.csv, .parquet), no outputs <id>.csv of "
            "the challenge, no folders fold_0, fold_1, ... and no <case>.npz."
        )
    parts = [read_table(each) for each in tables]
    if len(tables) > 1:
        folds = [_fold_of(each) for each in tables]
        if None in folds and not all(usual_column("fold", each.columns) for each in parts):
            unnamed = [t.name for t, fold in zip(tables, folds, strict=True) if fold is None]
            raise PredictionsError(
                f"{folder} holds {len(tables)} tables, and of {listing(unnamed)} the fold is not "
                "known. Name the files fold_0.csv, fold_1.csv, ..., or add a column fold."
            )
        if None not in folds:
            parts = [each.assign(fold=fold) for each, fold in zip(parts, folds, strict=True)]
    return _joined(parts, folder)


def _joined(parts: list[pd.DataFrame], folder: Path) -> pd.DataFrame:
    names = [set[object](map(str, each.columns)) for each in parts]
    if odd := set.union(*names) - set.intersection(*names):
        raise PredictionsError(
            f"the folds in {folder} have different columns: {listing(sorted(map(str, odd)))} "
            f"{'is' if len(odd) == 1 else 'are'} not in each. Give all folds the same columns."
        )
    return pd.concat(parts, ignore_index=True)


def _is_output(path: Path) -> bool:
    """Whether a file begins as an output of the challenge does."""
    with path.open("rb") as file:
        return file.read(1) == b"#"


def _output(path: Path) -> dict[str, Any]:
    found = read_output(path)
    row: dict[str, Any] = {"patient": path.stem}
    for task, names in CLASSES.items():
        lower = [name.casefold() for name in names]
        if not set(lower) & set(found.probabilities):
            continue
        row |= {
            f"p.{task}.{n}": found.probabilities.get(k, 0.0)
            for n, k in zip(names, lower, strict=True)
        }
        row[f"called.{task}"] = names[single_class([found.labels.get(k, False) for k in lower])]
    return row


def _cases(files: list[Path], folder: Path) -> pd.DataFrame:
    names: list[str] | None = None
    rows = []
    for path in files:
        with stored.parsing(path, "the case"), np.load(path, allow_pickle=False) as arrays:
            key = next((name for name in _CASE_ARRAYS if name in arrays), None)
            if key is None:
                raise PredictionsError(
                    f"{path} has no array {' or '.join(_CASE_ARRAYS)}, but {listing(arrays.files)}."
                )
            values = np.asarray(arrays[key], dtype=np.float64)
        if values.size != len(values):
            raise PredictionsError(
                f"{path}: {key} has the shape {values.shape}, which is a segmentation. A case that "
                "is classified has one number a class: shape (C,) or (C, 1, 1, 1)."
            )
        names = names or _class_names(folder) or [str(i) for i in range(len(values))]
        if len(names) != len(values):
            raise PredictionsError(
                f"{path}: {key} has {len(values)} numbers, and there are {len(names)} classes: "
                f"{listing(names)}."
            )
        rows.append(
            {"patient": path.stem}
            | dict(zip((f"p.{n}" for n in names), values.ravel(), strict=True))
        )
    return pd.DataFrame(rows)


def _class_names(folder: Path) -> list[str] | None:
    """Of dataset.json in the folder or above it: {name: number}; {number: name} of version 1."""
    for above in [folder, *list(folder.absolute().parents)[:4]]:
        if (path := above / "dataset.json").is_file():
            labels = stored.read_json(path, "the names of the classes").get("labels", {})
            pairs = [(n, v) if str(v).isdigit() else (v, n) for n, v in labels.items()]
            if pairs and all(str(number).isdigit() for _, number in pairs):
                return [str(name) for name, _ in sorted(pairs, key=lambda pair: int(pair[1]))]
            raise PredictionsError(f"{path}: `labels` is no mapping from classes to 0, 1, ...")
    return None


def read_labels(path: Path) -> pd.DataFrame:
    """A table of labels, or the challenge's folder of <id>.txt.

    The fields of the .txt files, such as Age and Sex, are columns, by which groups can be compared;
    `Additional ID` says which patients are one person.

    Raises
    ------
    PredictionsError, CohortError
        The table cannot be read, or the folder has no labels.
    """
    if not path.is_dir():
        table = read_table(path)
    else:
        files = [each for each in sorted(path.glob("*.txt")) if not each.name.startswith(".")]
        if not files:
            raise CohortError(f"{path} holds no labels: a file <id>.txt for each patient.")
        table = pd.DataFrame([_label(each) for each in files])
    if _LINKED in table and usual_column("person", table.columns) is None:
        patient = usual_column("patient", table.columns)
        if patient is not None:
            ids = [clean_name(each) for each in table[patient]]
            # Decimals are a spreadsheet's: 50379.0 is patient 50379.
            linked = [clean_name(each).removesuffix(".0") for each in table[_LINKED]]
            table = table.assign(person=[link_persons(ids, linked)[each] for each in ids])
    return table


def _label(path: Path) -> dict[str, str]:
    found = read_label(path)
    row = {"patient": path.stem}
    for task, names in CLASSES.items():
        known = {name.casefold(): name for name in names}
        row[f"label.{task}"] = known.get(found[task], found[task])
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and ":" in line:
            field, _, value = line[1:].partition(":")
            if field.strip().lower() not in CLASSES:
                row[field.strip()] = value.strip()
    return row


def with_labels(
    frame: pd.DataFrame, labels: pd.DataFrame, key: str | None = None
) -> tuple[pd.DataFrame, list[Note]]:
    """The predictions with the columns of a table of labels, by patient or by person.

    Parameters
    ----------
    frame, labels : DataFrame
    key : str, optional
        The column of ids in both; by default that of patients, else of persons, by its usual name.

    Raises
    ------
    PredictionsError
        One of them has no ids, an id has two rows of labels, or no id is in both.
    """
    roles = ("patient", "person")
    pair = (key, key) if key else next(
        (
            (mine, theirs)
            for role in roles
            if (mine := usual_column(role, frame.columns)) is not None
            and (theirs := usual_column(role, labels.columns)) is not None
        ),
        None,
    )  # fmt: skip
    if pair is None or pair[0] not in frame or pair[1] not in labels:
        raise PredictionsError(
            "predictions and labels have no column of ids in common: the predictions have "
            f"{listing(frame.columns, 8)}, the labels {listing(labels.columns, 8)}. Name both "
            "columns patient, or give --patient COLUMN."
        )
    ids, known_ids = _ids(frame[pair[0]]), _ids(labels[pair[1]])
    if len(twice := known_ids[known_ids.duplicated()].unique()):
        raise PredictionsError(
            f"{counted(len(twice), 'id has', 'ids have')} several rows of labels: {listing(twice)}."
        )
    known = set(known_ids)
    if not known & set(ids):
        raise PredictionsError(
            f"no id of the predictions ({listing(ids.unique(), 3)}) is among the labels "
            f"({listing(known_ids, 3)}). Give labels of the same patients."
        )
    more = [name for name in labels if name != pair[1] and name not in frame]
    found = labels[more].set_axis(known_ids.to_numpy()).reindex(ids.to_numpy())
    if (person := usual_column("person", found.columns)) is not None:
        # Who has no labels has no other ids that are known either.
        found[person] = found[person].where(
            found[person].notna(), pd.Series(found.index, found.index)
        )
    joined = pd.concat([frame.reset_index(drop=True), found.reset_index(drop=True)], axis=1)
    notes = []
    if missing := sorted(known - set(ids)):
        text = "patients have a label and no prediction, and are not scored"
        notes.append(Note("not predicted", len(missing), text, tuple(missing)))
    return joined, notes


def _ids(values: Iterable[Any]) -> pd.Series:
    series = pd.Series(list(values))
    return series.map({each: clean_name(each) for each in series.unique()}).astype(object)
