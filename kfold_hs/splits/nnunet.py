"""nnU-Net's splits_final.json: a list of {"train": [...], "val": [...]}, one for each fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kfold_hs.cohort.ids import clean_name
from kfold_hs.errors import SplitError, counted, listing


def folds_of_cases(values: list[Any], path: Path) -> dict[str, str]:
    """Name of the fold of every case: the number of the fold that validates it, or train.

    Parameters
    ----------
    values : list
        The content of the file.
    path : Path
        The file's name, for errors.

    Raises
    ------
    SplitError
        It is no such list, or no split: a case is validated twice, trained on and validated by one
        fold, or left out by one.
    """
    pairs: dict[str, str] = {}
    everyone: set[str] = set()
    parts = [_part(path, each) for each in values]
    for train, val in parts:
        everyone |= train | val
    for fold, (train, val) in enumerate(parts):
        if not val:
            raise SplitError(
                f"{path}: fold {fold} has no validation case. Add one, or remove the fold."
            )
        if both := train & val:
            raise SplitError(
                f"{path}: fold {fold} has {counted(len(both), 'case')} both in train and in val: "
                f"{listing(sorted(both))}. Remove each from one of them."
            )
        if twice := val & set(pairs):
            raise SplitError(
                f"{path}: {listing(sorted(twice))} is in val of two folds. Every case may be in "
                "val of one fold only."
            )
        if left := everyone - train - val:
            raise SplitError(
                f"{path}: fold {fold} lacks {counted(len(left), 'case')} that other folds use: "
                f"{listing(sorted(left))}. Add each to its train or val."
            )
        pairs.update(dict.fromkeys(val, str(fold)))
    pairs.update(dict.fromkeys(everyone - set(pairs), "train"))
    return pairs


def _part(path: Path, each: Any) -> tuple[set[str], set[str]]:
    """The cases of train and val of one entry."""
    if isinstance(each, dict) and set(each) == {"train", "val"}:
        lists = [each["train"], each["val"]]
        if all(isinstance(names, list) for names in lists):
            odd = [n for names in lists for n in names if type(n) not in (str, int)]
            if not odd:
                train, val = ({clean_name(n) for n in names} for names in lists)
                return train, val
    raise SplitError(
        f"{path} is not like nnU-Net's splits_final.json. Each entry must be {{'train': [...], "
        f"'val': [...]}} with lists of ids, but one is {repr(each)[:80]}."
    )
