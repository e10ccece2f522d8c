"""The names of folds in splits from elsewhere, as numbers from 0; unclear names are refused.

0, 1, 2 or 1, 2, 3     numbers without gaps; also 1.0, fold_1, fold-1, part 1, split1
-1                     with numbers: never held out, always trained on, as in scikit-learn's
                       PredefinedSplit
train, val, test       one validation part; or test and train together with numbers
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kfold_hs.cohort.ids import clean_name
from kfold_hs.errors import SplitError, listing
from kfold_hs.predictions.import_names import TRAINED_WORDS, is_trained_on
from kfold_hs.splits.split import TEST, TRAIN

_NUMBER = re.compile(r"(?:(?P<kind>fold|split|part)[ _-]?)?(?P<number>[0-9]{1,9})(?:\.0+)?")
_WORDS = {
    "test": TEST, "holdout": TEST, "hold-out": TEST,
    **dict.fromkeys(TRAINED_WORDS, TRAIN),
    "val": 0, "valid": 0, "validation": 0, "dev": 0, "imagests": TEST, "ts": TEST,
}  # fmt: skip


def fold_numbers(names: Iterable[str], source: str) -> Mapping[str, int]:
    """Fold from 0, `TEST` or `TRAIN` of every name.

    Parameters
    ----------
    names : iterable of str
        The folds of all repeats.
    source : str
        The name of the split in errors.

    Raises
    ------
    SplitError
        A name is none of these, two names could mean the same fold, numbers have gaps, or nobody
        is held out.
    """
    codes: dict[str, int] = {}
    numbers: dict[str, int] = {}
    kinds: dict[str, str] = {}
    validation: list[str] = []
    for name in sorted(set(names)):
        text = clean_name(name).lower()
        if found := _NUMBER.fullmatch(text):
            numbers[name] = int(found["number"])
            kinds.setdefault(found["kind"] or "", name)
        elif text in _WORDS:
            codes[name] = _WORDS[text]
            validation += [name] if _WORDS[text] == 0 else []
        elif is_trained_on(text):  # -1
            codes[name] = TRAIN
            kinds.setdefault("", name)
        else:
            raise SplitError(
                f"{source} has a fold {name[:80]!r}. A fold is a number from 0 or 1 without gaps "
                "(-1: always trained on), or train, val or test."
            )
    if len(mixed := [*kinds.values(), *validation]) > 1:
        raise SplitError(
            f"{source} has the folds {listing(map(repr, mixed))}. Two of these names could mean "
            "the same fold. Name all folds in one way."
        )
    if not numbers and not validation:
        raise SplitError(
            f"{source} has no fold and no validation part, so that nobody could be scored."
        )
    return codes | _from_0(numbers, source)


def consecutive(numbers: Iterable[int]) -> bool:
    """Whether the numbers count from 0 or from 1 without gaps."""
    found = set(numbers)
    return not found or (min(found) in (0, 1) and max(found) - min(found) == len(found) - 1)


def _from_0(numbers: Mapping[str, int], source: str) -> dict[str, int]:
    if not consecutive(numbers.values()):
        raise SplitError(
            f"{source} has the folds {listing(sorted(set(numbers.values())), 10)}. Folds must "
            "count from 0 or from 1 without gaps. Add the missing fold, or number the folds anew."
        )
    first = min(numbers.values(), default=0)
    return {name: number - first for name, number in numbers.items()}
