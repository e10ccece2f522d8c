"""nnU-Net's splits_final.json: a list of {"train": [...], "val": [...]}, one a fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kfold_hs.cohort.ids import clean_name
from kfold_hs.errors import SplitError, listing


def folds_of_cases(values: list[Any], path: Path) -> dict[str, str]:
    """Name of the fold of every case: the number of the part that validates it, or train.

    Parameters
    ----------
    values : list
        What the file holds.
    path : Path
        Of the file, for errors.

    Raises
    ------
    SplitError
        It is no such list, or no split: somebody is validated twice, trained on and validated
        by one fold, or left out by one.
    """
    pairs: dict[str, str] = {}
    everyone: set[str] = set()
    parts = [_part(path, each) for each in values]
    for train, val in parts:
        everyone |= train | val
    for fold, (train, val) in enumerate(parts):
        if not val:
            raise SplitError(f"{path}: fold {fold} validates nobody.")
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
        pairs.update(dict.fromkeys(val, str(fold)))
    pairs.update(dict.fromkeys(everyone - set(pairs), "train"))
    return pairs


def _part(path: Path, each: Any) -> tuple[set[str], set[str]]:
    """Who is in train and val of one entry of nnU-Net's list."""
    if isinstance(each, dict) and set(each) == {"train", "val"}:
        lists = [each["train"], each["val"]]
        if all(isinstance(names, list) for names in lists):
            odd = [n for names in lists for n in names if type(n) not in (str, int)]
            if not odd:
                train, val = ({clean_name(n) for n in names} for names in lists)
                return train, val
    raise SplitError(
        f"{path} is a list, but not of {{'train': [...], 'val': [...]}} with ids in both, as "
        f"nnU-Net's splits_final.json is: {repr(each)[:80]}."
    )
