"""Splits from elsewhere: read as they are, then certified or refused.

A foreign split says where single recordings are, which may well be wrong: a person on
two sides, a file nobody knows. `read_folds` keeps what it says, for the audit to look
at; `certify` makes a `Split` of it, or names what is in the way.

    FILE.csv             a column of ids (person_id, patient_id, recording_id, or the like)
                         and a column `fold`: a number from 0 or 1, or train, val, test;
                         `repeat`, where there are several
    FILE.json            kfold-hs's own split.json, or nnU-Net's splits_final.json, a list
                         of {"train": [...], "val": [...]}, by recording or patient
    FOLDER               a folder for each fold, or train/, val/ and test/, with the
                         recordings in them; known by name, else by their samples
    column:NAME          a column of the cohort's own table
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import inspect_all
from kfold_hs.errors import SplitError, listing
from kfold_hs.splits.split import TEST, TRAIN, Split
from kfold_hs.walk import find_files

_ID_COLUMNS = ("recording_id", "recording", "patient_id", "patient", "person_id", "person", "id")
_WORDS = {
    "test": TEST, "holdout": TEST, "hold-out": TEST,
    "train": TRAIN, "training": TRAIN, "tr": TRAIN, "imagestr": TRAIN,
    "val": 0, "valid": 0, "validation": 0, "dev": 0, "imagests": TEST, "ts": TEST,
}  # fmt: skip


def read_folds(source: str | Path, cohort: Cohort) -> pd.DataFrame:
    """Where every recording is.

    Returns
    -------
    DataFrame of int64, shape (n_recordings, n_repeats)
        Index: recording_id in the cohort's order. Folds from 0, `TEST` or `TRAIN`.

    Raises
    ------
    SplitError
        The file is none of the known kinds, names something that the cohort has not, or
        leaves a recording out.
    """
    text = str(source)
    path = Path(source)
    if text.startswith("column:"):
        return _from_column(text.removeprefix("column:"), cohort)
    if path.is_dir():
        return _from_folders(path, cohort)
    if not path.is_file():
        raise SplitError(f"the split {path} is missing: no such file or folder.")
    if path.suffix == ".json":
        values = _json(path)
        if isinstance(values, list):
            return _from_nnunet(path, values, cohort)
        split = Split.read(path)
        split.check_cohort(cohort)
        return folds_of_recordings(split, cohort)
    return _from_csv(path, cohort)


def is_foreign(source: str | Path) -> bool:
    """Whether it is anything but a split.json of ours."""
    path = Path(source)
    return path.suffix != ".json" or isinstance(_json(path), list)


def certify(folds: pd.DataFrame, cohort: Cohort, source: str, seed: int = 0) -> Split:
    """A `Split` of what `read_folds` gave.

    Raises
    ------
    SplitError
        A person is on two sides, or a class is missing from a fold.
    """
    patient_of = cohort.recordings.set_index("recording_id")["patient_id"]
    persons = patient_of.reindex(folds.index).map(cohort.person_of).to_numpy()
    sides = folds.groupby(persons).nunique()
    if len(torn := sides.index[(sides > 1).any(axis=1)]):
        raise SplitError(
            f"{source} puts {len(torn)} persons on two sides: {listing(torn)}. A score on it would "
            f"be of people that the model has heard. `kfold-hs audit {source}` names their files, "
            "and with --fix writes a split without them."
        )
    each = folds.groupby(persons).first()
    split = Split.of(
        cohort,
        dict(zip(map(str, each.index), (tuple(map(int, r)) for r in each.to_numpy()), strict=True)),
        n_folds=int(folds.to_numpy().max()) + 1,
        n_repeats=folds.shape[1],
        seed=seed,
        settings={"by": "person", "stratify": [], "test": 0.0, "source": Path(source).name},
    )
    split.check(cohort)
    return split


def folds_of_recordings(split: Split, cohort: Cohort) -> pd.DataFrame:
    """Where a `Split` of ours puts every recording; see `read_folds`."""
    folds = [split.fold_of_patients(cohort, repeat) for repeat in range(split.n_repeats)]
    table = pd.DataFrame(np.stack(folds, axis=1), index=cohort.patients["patient_id"])
    return _per_recording(table, cohort)


def _per_recording(by_patient: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    found = by_patient.reindex(cohort.recordings["patient_id"])
    found.index = pd.Index(cohort.recordings["recording_id"])
    return found.astype(np.int64)


def _from_column(column: str, cohort: Cohort) -> pd.DataFrame:
    for table, key in ((cohort.recordings, "recording_id"), (cohort.patients, "patient_id")):
        if column in table:
            pairs = dict(zip(table[key], table[column], strict=True))
            return _from_pairs({0: pairs}, cohort, f"column {column}")
    raise SplitError(
        f"the cohort has no column {column!r}; its patients have {listing(cohort.covariates, 20)}."
    )


def _from_csv(path: Path, cohort: Cohort) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise SplitError(f"cannot read the split {path} as CSV: {error}.") from error
    ids = [name for name in _ID_COLUMNS if name in table]
    if not ids or "fold" not in table:
        raise SplitError(
            f"{path} has the columns {list(table)}; a split has a column fold and one of "
            f"{', '.join(_ID_COLUMNS)}."
        )
    repeats = table["repeat"] if "repeat" in table else pd.Series("0", index=table.index)
    pairs: dict[Any, dict[str, str]] = {}
    for repeat, name, fold in zip(repeats, table[ids[0]], table["fold"], strict=True):
        known = pairs.setdefault(repeat, {}).setdefault(name, fold)
        if known != fold:
            raise SplitError(f"{path} puts {name} into fold {known} and into fold {fold}.")
    return _from_pairs(pairs, cohort, str(path))


def _from_nnunet(path: Path, values: list[Any], cohort: Cohort) -> pd.DataFrame:
    pairs: dict[str, int] = {}
    everyone: set[str] = set()
    try:
        parts = [(set(map(str, each["train"])), set(map(str, each["val"]))) for each in values]
    except (KeyError, TypeError) as error:
        raise SplitError(
            f"{path} is a list, but not of {{'train': [...], 'val': [...]}} as nnU-Net's "
            f"splits_final.json is ({error!r})."
        ) from error
    for train, val in parts:
        everyone |= train | val
    for fold, (train, val) in enumerate(parts):
        if both := train & val:
            raise SplitError(
                f"{path}: fold {fold} trains on {len(both)} cases that it validates on: "
                f"{listing(sorted(both))}."
            )
        if twice := val & set(pairs):
            raise SplitError(
                f"{path}: {listing(sorted(twice))} is in the validation part of two folds, so "
                "that nobody's out-of-fold prediction would be the only one."
            )
        if left := everyone - train - val:
            raise SplitError(
                f"{path}: fold {fold} neither trains on nor validates {len(left)} cases that "
                f"other folds use: {listing(sorted(left))}."
            )
        pairs.update(dict.fromkeys(val, fold))
    pairs.update(dict.fromkeys(everyone - set(pairs), TRAIN))
    return _from_pairs({0: pairs}, cohort, str(path))


def _from_folders(path: Path, cohort: Cohort) -> pd.DataFrame:
    found = find_files(path)
    files = found.files
    if not files:
        left = " ".join(found.notes(path))
        raise SplitError(
            f"{path} holds no recording (.wav, .flac, .aiff) in any folder below it. {left}"
        )
    names = {p: p.relative_to(path).parts[0] for p in files}
    if loose := [p for p in files if p.parent == path]:
        raise SplitError(
            f"{path} holds recordings beside its folders: {listing(loose)}. Each belongs into the "
            "folder of a fold, or of train, val or test."
        )
    ids = set(cohort.recordings["recording_id"])
    called = {p: p.stem if p.stem in ids else p.name for p in files}
    strange = [p for p in files if called[p] not in ids]
    same = cohort.recordings.drop_duplicates("sha256").set_index("sha256")["recording_id"]
    facts = inspect_all(strange)
    called |= {p: same.get(fact.sha256, "") for p, fact in zip(strange, facts, strict=True)}
    if unknown := [p for p in strange if not called[p]]:
        raise SplitError(
            f"{len(unknown)} recordings in {path} are not in this cohort, neither by name nor by "
            f"their samples: {listing(unknown)}."
        )
    pairs: dict[str, str] = {}
    for file in files:
        recording = called[file]
        known = pairs.setdefault(recording, names[file])
        if known != names[file]:
            raise SplitError(
                f"{path} holds {recording} in {known} and in {names[file]}: remove one of them."
            )
    return _from_pairs({0: pairs}, cohort, str(path))


def _from_pairs(
    pairs: Mapping[Any, Mapping[Any, Any]], cohort: Cohort, source: str
) -> pd.DataFrame:
    """One mapping of ids (recordings, patients or persons) to folds a repeat."""
    recordings = cohort.recordings["recording_id"]
    patients = cohort.recordings["patient_id"]
    kinds = {
        "recordings": recordings,
        "patients": patients,
        "persons": patients.map(cohort.person_of),
    }
    columns = {}
    for number, repeat in enumerate(sorted(pairs)):
        named = {str(key): str(value) for key, value in pairs[repeat].items()}
        shares = {kind: len(set(ids) & set(named)) for kind, ids in kinds.items()}
        kind = max(shares, key=lambda each: shares[each])
        ids = kinds[kind]
        if missing := set(ids) - set(named):
            raise SplitError(
                f"{source} says nothing of {len(missing)} of {ids.nunique()} {kind} of this "
                f"cohort: {listing(sorted(missing))}."
            )
        if unknown := set(named) - set(ids):
            raise SplitError(
                f"{source} names {len(unknown)} {kind} that this cohort has not: "
                f"{listing(sorted(unknown))}."
            )
        columns[number] = _numbers(ids.map(named), source).to_numpy()
    return pd.DataFrame(columns, index=pd.Index(recordings), dtype=np.int64)


def _numbers(names: pd.Series, source: str) -> pd.Series:
    """fold_2, 2, train, test, ... as folds from 0; folds counted from 1 are moved down."""
    codes = {}
    for name in sorted(names.unique()):
        digits = re.fullmatch(r"(?:fold|split|part)?[\s_-]*(\d+)(?:\.0)?", name.strip().lower())
        if digits:
            codes[name] = int(digits[1])
        elif (word := name.strip().lower()) in _WORDS:
            codes[name] = _WORDS[word]
        else:
            raise SplitError(
                f"{source} has a fold {name!r}; a fold is a number, or train, val or test."
            )
    numbers = sorted({code for name, code in codes.items() if code >= 0})
    if not numbers:
        raise SplitError(f"{source} has no fold and no validation part to score anybody on.")
    order = {number: i for i, number in enumerate(numbers)}
    return names.map({name: order.get(code, code) for name, code in codes.items()})


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SplitError(f"cannot read the split {path}: {error!r}.") from error
