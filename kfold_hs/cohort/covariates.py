"""Patient covariates as numbers, by rules fitted on some patients and applied to others.

A numeric covariate is standardised, and a second column says whether it is missing. A covariate of
words becomes one column for each level; missing is a level. A level that no patient of the fit has
is all zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.values import is_missing, number, word
from kfold_hs.errors import listing

MISSING = "missing"
NUMERIC_SHARE = 0.9
"""A covariate is numeric if at least this share of its cells that are not empty are numbers."""
MOST_LEVELS = 20
"""A covariate of words with more levels, or with more than one for two patients, names people."""


def tidy(patients: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], list[Note]]:
    """Write covariates in one spelling, in place: numbers, words, and None for no value.

    A covariate is numeric if `NUMERIC_SHARE` of its cells are; its other cells count as missing. A
    column of words with too many levels is no covariate.

    Returns
    -------
    (list of str, list of Note)
        The names of the covariates; a note for what was left out.
    """
    kept, odd, odd_in, crowded = [], [], [], []
    for name in names:
        cells = patients[name].tolist()
        words = [word(cell) for cell in cells]
        numbers = [number(cell) for cell in cells]
        n_known = sum(each is not None for each in words)
        n_numbers = sum(each is not None for each in numbers)
        levels = {each for each in words if each is not None}
        is_declared = any(isinstance(cell, float) for cell in cells)  # by the loader
        if n_numbers and (is_declared or n_numbers >= NUMERIC_SHARE * n_known):
            values: list[Any] = [
                None if found is None else cell if isinstance(cell, float) else _plain(cell)
                for cell, found in zip(cells, numbers, strict=True)
            ]
            odd += [
                f"{name} of {patient_id}: {each!r:.80}"
                for patient_id, each, found in zip(
                    patients["patient_id"], words, numbers, strict=True
                )
                if each is not None and found is None
            ]
            odd_in += [name] * (n_numbers < n_known)
        elif len(levels) > max(2, min(MOST_LEVELS, len(cells) // 2)):
            crowded.append(f"{name} ({len(levels)} different values)")
            continue
        else:
            values = words
        kept.append(name)
        patients[name] = pd.Series(values, index=patients.index)
    return kept, [
        *_note("odd cells", odd, _ODD.format(listing(odd_in))),
        *_note(CROWDED, crowded, _CROWDED.format(listing(crowded))),
    ]


CROWDED = "covariates left out"
_ODD = "no numbers in the numeric columns {}; they count as missing"
_CROWDED = (
    "{}: so many values identify people, not groups; they are not used to stratify, to form "
    "subgroups or to train"
)


def _note(name: str, items: list[str], text: str) -> list[Note]:
    return [Note(name, len(items), text, tuple(items))] if items else []


def _plain(cell: object) -> str:
    """A number with a decimal point, in ASCII."""
    return (word(cell) or "").replace(",", ".").replace("\u2212", "-")


@dataclass(frozen=True)
class CovariateEncoder:
    """One rule for each covariate: ``{"name", "mean", "std"}`` or ``{"name", "levels"}``."""

    rules: tuple[dict[str, Any], ...]

    @classmethod
    def fit(cls, patients: pd.DataFrame, names: Sequence[str]) -> CovariateEncoder:
        """Rules from the rows of the training patients."""
        rules: list[dict[str, Any]] = []
        for name in names:
            words = _words(patients[name])
            known = _numbers(patients[name]).dropna()
            if len(known) and len(known) == (words != MISSING).sum():
                spread = float(known.std(ddof=0))
                rules.append({"name": name, "mean": float(known.mean()), "std": spread or 1.0})
            else:
                rules.append({"name": name, "levels": sorted(words.unique())})
        return cls(tuple(rules))

    @property
    def width(self) -> int:
        """Number of columns of `transform`."""
        return sum(len(rule["levels"]) if "levels" in rule else 2 for rule in self.rules)

    def transform(self, patients: pd.DataFrame) -> np.ndarray:
        """The encoded covariates, float32 of shape (n_patients, width)."""
        columns = []
        for rule in self.rules:
            values = patients[rule["name"]]
            if "levels" in rule:
                words = _words(values)
                columns += [(words == _level(level)).to_numpy() for level in rule["levels"]]
            else:
                numbers = _numbers(values).to_numpy(dtype=np.float64)
                missing = ~np.isfinite(numbers)
                scaled = (numbers - rule["mean"]) / rule["std"]
                columns += [np.where(missing, 0.0, scaled), missing]
        return np.stack(columns, axis=1).astype(np.float32)

    def unreadable(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Why the value of a covariate cannot be used, by its name; missing values can."""
        found = {}
        for rule in self.rules:
            name = rule["name"]
            value = values.get(name)
            if name not in values and values:
                found[name] = f"{name} is not given; it counts as missing"
            elif is_missing(value):
                continue
            elif "levels" not in rule and number(value) is None:
                found[name] = f"{name} {value!r:.80} is not a number; it counts as missing"
            elif "levels" in rule and word(value) not in [_level(each) for each in rule["levels"]]:
                found[name] = f"{name} {value!r:.80} does not occur in the training data"
        return found


def _words(values: pd.Series) -> pd.Series:
    said = {each: word(each) or MISSING for each in values.unique()}
    return values.map(lambda cell: said.get(cell, MISSING))


def _numbers(values: pd.Series) -> pd.Series:
    return values.map(number).astype(np.float64)


def _level(level: str) -> str:
    return word(level) or MISSING
