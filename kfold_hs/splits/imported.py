"""Imported splits: read as they are, then certified or refused.

An imported split places single recordings, and can be wrong: a person on two sides, an
unknown file. `read_folds` keeps its content for the audit; `certify` makes a `Split` of
it, or names the fault.

    FILE.csv             a column of ids and a column `fold` (names: see `fold_names`); with several
                         repeats, a column `repeat` of numbers. The column of ids is
                         recording_id, patient_id or person_id (the first of these counts), or
                         `id`: then the values decide
    FILE.json            kfold-hs's own split.json, or nnU-Net's splits_final.json, a list
                         of {"train": [...], "val": [...]}, by recording or patient
    FOLDER               a folder for each fold, or train/, val/ and test/, with the
                         recordings in them, identified by name, otherwise by their samples
    column:NAME          a column of the cohort's own table, by recording

Ids that could be patients or other persons are refused where nothing decides.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import inspect_all
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import clean_name
from kfold_hs.cohort.readers.table import column_of
from kfold_hs.cohort.whose import PATIENT, PERSON, RECORDING, kind_of_column
from kfold_hs.config.data import COLUMN
from kfold_hs.config.schema import DataConfig, TableData
from kfold_hs.errors import SplitError, counted, listing
from kfold_hs.files.stored import warn
from kfold_hs.files.walk import find_files
from kfold_hs.splits.fold_names import consecutive, fold_numbers
from kfold_hs.splits.nnunet import folds_of_cases
from kfold_hs.splits.split import Split


def read_folds(source: str | Path, cohort: Cohort, data: DataConfig | None = None) -> pd.DataFrame:
    """The fold of every recording.

    Parameters
    ----------
    source : str or Path
    cohort : Cohort
    data : DataConfig, optional
        The source of the cohort; `column:NAME` may be a column of its table.

    Returns
    -------
    DataFrame of int64, shape (n_recordings, n_repeats)
        Index: recording_id in the cohort's order. Folds from 0, `TEST` or `TRAIN`.

    Raises
    ------
    SplitError
        The file is of no known kind, names something that the cohort does not have, or leaves a
        recording out.
    """
    text = str(source)
    path = Path(source)
    if text.startswith(COLUMN):
        return _from_column(text.removeprefix(COLUMN), cohort, data)
    if path.is_dir():
        return _from_folders(path, cohort)
    if not path.is_file():
        raise SplitError(f"the split {path} does not exist. Name a file or folder that exists.")
    if path.suffix.lower() == ".json":
        values = _json(path)
        if isinstance(values, list):
            return _from_pairs({0: folds_of_cases(values, path)}, cohort, str(path))
        split = Split.read(path)
        split.check_cohort(cohort)
        return folds_of_recordings(split, cohort)
    return _from_csv(path, cohort)


def is_imported(source: str | Path) -> bool:
    """Whether the source is anything but a split.json of kfold-hs."""
    path = Path(source)
    if str(source).startswith(COLUMN) or path.is_dir() or path.suffix.lower() != ".json":
        return True
    return isinstance(_json(path), list)


def held_out_column(source: str | Path) -> str | None:
    """The column whose values are the folds of a split.json, where it says that of itself."""
    return None if is_imported(source) else Split.read(Path(source)).settings.get("hold_out")


def certify(
    folds: pd.DataFrame,
    cohort: Cohort,
    source: str,
    seed: int = 0,
    splitter: Mapping[str, Any] | None = None,
) -> Split:
    """Make a `Split` of the folds from `read_folds`.

    Parameters
    ----------
    source : str
        Where the folds come from: a file, or a name where a splitter made them.
    splitter : mapping, optional
        What is said of the splitter in the split's settings.

    Raises
    ------
    SplitError
        A person is on two sides, or a class is missing from a fold.
    """
    patient_of = cohort.recordings.set_index("recording_id")["patient_id"]
    persons = patient_of.reindex(folds.index).map(cohort.person_of).to_numpy()
    sides = folds.groupby(persons).nunique()
    if len(torn := sides.index[(sides > 1).any(axis=1)]):
        way_out = (
            f"`kfold-hs audit {source}` names their files; with --fix it writes a correct split."
            if splitter is None
            else "Split persons (rows='person'), or use a splitter that keeps groups together."
        )
        raise SplitError(
            f"{source} puts {counted(len(torn), 'person')} on two sides: {listing(torn)}. Its "
            f"scores would include people that the model was trained on. {way_out}"
        )
    each = folds.groupby(persons).first()
    split = Split.of(
        cohort,
        dict(zip(map(str, each.index), (tuple(map(int, r)) for r in each.to_numpy()), strict=True)),
        n_folds=int(folds.to_numpy().max()) + 1,
        seed=seed,
        settings={
            "by": "person",
            "stratify": [],
            "test": 0.0,
            "source": Path(source).name,
            **(splitter or {}),
        },
    )
    split.check(cohort)
    return split


def folds_of_recordings(split: Split, cohort: Cohort) -> pd.DataFrame:
    """The fold of every recording in a `Split`; see `read_folds`."""
    folds = [split.fold_of_patients(cohort, repeat) for repeat in range(split.n_repeats)]
    table = pd.DataFrame(np.stack(folds, axis=1), index=cohort.patients["patient_id"])
    return _per_recording(table, cohort)


def _per_recording(by_patient: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    found = by_patient.reindex(cohort.recordings["patient_id"])
    found.index = pd.Index(cohort.recordings["recording_id"])
    return found.astype(np.int64)


def _from_column(column: str, cohort: Cohort, data: DataConfig | None) -> pd.DataFrame:
    source = f"column {column}"
    if isinstance(data, TableData) and (values := column_of(data, column)) is not None:
        if len(values) != cohort.n_recordings:
            raise SplitError(
                f"{data.path} has {len(values)} rows, but the cohort has {cohort.n_recordings} "
                "recordings. Write the split to a CSV with the columns recording_id and fold."
            )
        pairs = dict(zip(cohort.recordings["recording_id"], map(_text, values), strict=True))
        return _from_pairs({0: pairs}, cohort, source, RECORDING)
    for table, key, kind in (
        (cohort.recordings, "recording_id", RECORDING),
        (cohort.patients, "patient_id", PATIENT),
    ):
        if column in table:
            pairs = dict(zip(table[key], map(_text, table[column]), strict=True))
            return _from_pairs({0: pairs}, cohort, source, kind)
    names = listing(map(repr, cohort.covariates), 20) or "none"
    raise SplitError(
        f"the data have no column {column!r:.80}. The covariates of their patients are: {names}."
    )


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _from_csv(path: Path, cohort: Cohort) -> pd.DataFrame:
    table = read_csv(path, SplitError).table
    names = [str(name).lower() for name in table.columns]
    kinds = [kind_of_column(name) for name in names]
    kind = next((each for each in (RECORDING, PATIENT, PERSON) if each in kinds), None)
    ids = [i for i, name in enumerate(names) if (kinds[i] == kind if kind else name == "id")]
    folds = [i for i, name in enumerate(names) if name == "fold"]
    repeats = [i for i, name in enumerate(names) if name == "repeat"]
    if len(ids) != 1 or len(folds) != 1 or len(repeats) > 1:
        raise SplitError(
            f"{path} has the columns {listing(table.columns, 20)[:400]}. A split needs one column "
            "fold, and one of recording_id, patient_id, person_id or id."
        )
    pairs: dict[int, dict[str, str]] = {}
    for row in table.to_numpy().tolist():
        repeat = _repeat(row[repeats[0]], path) if repeats else 0
        name, fold = clean_name(row[ids[0]]), row[folds[0]].strip()
        if not name:
            raise SplitError(f"{path} has a row without an id, in fold {fold[:80]!r}. Add the id.")
        known = pairs.setdefault(repeat, {}).setdefault(name, fold)
        if known != fold:
            raise SplitError(
                f"{path} puts {name} into fold {known} and into fold {fold}. Correct the row. If "
                "these are two recordings of one patient, use a column recording_id, for the audit."
            )
    if not consecutive(pairs):
        raise SplitError(
            f"{path} has the repeats {listing(sorted(pairs), 10)}. Repeats must count from 0 or "
            "from 1 without gaps."
        )
    return _from_pairs(pairs, cohort, str(path), kind)


def _repeat(text: str, path: Path) -> int:
    digits = text.strip().removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise SplitError(
            f"{path} has a repeat {text[:80]!r}. Repeats are whole numbers from 0 or 1."
        )
    return int(digits)


def _from_folders(path: Path, cohort: Cohort) -> pd.DataFrame:
    found = find_files(path)
    for note in found.notes(path):
        warn(f"{note}.")
    files = found.files
    if not files:
        raise SplitError(f"{path} and its folders hold no recording (.wav, .flac, .aiff).")
    _check_links(path, files, [each for left in found.left_out.values() for each in left])
    names = {p: p.relative_to(path).parts[0] for p in files}
    if loose := [p for p in files if p.parent == path]:
        raise SplitError(
            f"{path} holds recordings that are in no folder of a fold: {listing(loose)}. Move each "
            "into the folder of a fold, or into train, val or test."
        )
    ids = set(cohort.recordings["recording_id"])
    called = {p: clean_name(p.stem) for p in files}
    called |= {p: clean_name(p.name) for p, name in called.items() if name not in ids}
    strange = [p for p in files if called[p] not in ids]
    same = cohort.recordings.groupby("sha256")["recording_id"].agg(list)
    facts = inspect_all(strange)
    alike = {p: same.get(fact.sha256, []) for p, fact in zip(strange, facts, strict=True)}
    if several := {p: each for p, each in alike.items() if len(each) > 1}:
        file, each = next(iter(several.items()))
        raise SplitError(
            f"{path} holds {counted(len(several), 'recording')} without a name of this cohort, but "
            f"with the samples of several of its recordings: {file} could be {listing(each)}. Use "
            "the cohort's names."
        )
    called |= {p: each[0] if each else "" for p, each in alike.items()}
    if unknown := [p for p in strange if not called[p]]:
        raise SplitError(
            f"{path} holds {counted(len(unknown), 'recording')} that this cohort does not have, by "
            f"name or by samples: {listing(unknown)}. Remove them, or add them to the data."
        )
    pairs: dict[str, str] = {}
    for file in files:
        recording = called[file]
        known = pairs.setdefault(recording, names[file])
        if known != names[file]:
            raise SplitError(
                f"{path} holds {recording} in {known} and in {names[file]}. Remove one of them."
            )
    return _from_pairs({0: pairs}, cohort, str(path))


def _check_links(path: Path, files: Sequence[Path], left_out: Sequence[Path]) -> None:
    """Refuse a link to files of another fold: they would be in two folds."""

    def fold(file: Path) -> str:
        return file.relative_to(path).parts[0]

    real = {os.path.realpath(file): file for file in files}
    real |= {f"{os.path.realpath(file.parent)}/{file.name}": file for file in files}
    for link in left_out:
        target = os.path.realpath(link)
        if not link.is_symlink() or Path(os.path.realpath(link.parent)).is_relative_to(target):
            continue  # a link to a folder above it adds no file
        for place, file in real.items():
            if Path(place).is_relative_to(target) and fold(file) != fold(link):
                raise SplitError(
                    f"{path} holds {file.name} in {fold(file)} and, by the link "
                    f"{link.relative_to(path)}, in {fold(link)}. Remove one of them."
                )


def _from_pairs(
    pairs: Mapping[int, Mapping[str, str]], cohort: Cohort, source: str, kind: str | None = None
) -> pd.DataFrame:
    """Fold names by id, for each repeat; `kind` is the kind of the ids, if it is known."""
    folds = [_of_recordings(pairs[repeat], cohort, source, kind) for repeat in sorted(pairs)]
    numbers = fold_numbers({name for each in folds for name in each}, source)
    columns = {i: [numbers[name] for name in each] for i, each in enumerate(folds)}
    ids = pd.Index(cohort.recordings["recording_id"])
    return pd.DataFrame(columns, index=ids, dtype=np.int64)


def _of_recordings(
    fold_of: Mapping[str, str], cohort: Cohort, source: str, kind: str | None
) -> list[str]:
    """Name of the fold of every recording of the cohort."""
    patients = cohort.recordings["patient_id"]
    kinds = {
        RECORDING: cohort.recordings["recording_id"],
        PATIENT: patients,
        PERSON: patients.map(cohort.person_of),
    }
    fits = [each for each, ids in kinds.items() if set(ids) == set(fold_of)]
    if kind is None and len({tuple(kinds[each].map(fold_of)) for each in fits}) > 1:
        whom = " and all ".join(f"{each}s" for each in fits)
        raise SplitError(
            f"{source} names {len(fold_of)} ids, which are all {whom} of this cohort, but not of "
            "the same people. Name the column of ids in a CSV: "
            f"{' or '.join(f'{each}_id' for each in fits)}."
        )
    if kind is None:
        kind = (fits or sorted(kinds, key=lambda each: -len(set(kinds[each]) & set(fold_of))))[0]
    ids = kinds[kind]
    hint = f" The ids are those of its {fits[0]}s: name the column {fits[0]}_id." if fits else ""
    if missing := set(ids) - set(fold_of):
        raise SplitError(
            f"{source} lacks {len(missing)} of the {ids.nunique()} {kind}s of this cohort: "
            f"{listing(sorted(missing))}.{hint}"
        )
    if unknown := set(fold_of) - set(ids):
        raise SplitError(
            f"{source} names {counted(len(unknown), kind)} that this cohort does not have: "
            f"{listing(sorted(unknown))}.{hint}"
        )
    if blank := sorted(name for name, fold in fold_of.items() if not fold):
        raise SplitError(
            f"{source} has no fold for {len(blank)} of {len(fold_of)} {kind}s: {listing(blank)}. "
            "Write -1 or train for people who are always trained on."
        )
    return [str(fold) for fold in ids.map(fold_of)]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SplitError(f"cannot read the split {path}: {error!r}.") from error
