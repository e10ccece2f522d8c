"""Columns of labels among the columns of a table, and their classes in the order of a task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kfold_hs.cohort.covariates import CROWDED, tidy
from kfold_hs.cohort.values import is_missing, number, said, truth
from kfold_hs.config.names import clean_name

MOST_CLASSES, MOST_NUMBERS = 10, 6
"""Of a column of labels: different words, and different numbers."""
SOURCE = ("source", "hospital", "center", "centre", "clinic", "campaign", "device", "stethoscope",
           "cohort", "dataset", "country")  # fmt: skip
FOLD = ("fold", "folds", "split", "set", "partition", "subset")
SITE = ("site", "location", "position", "recording_site", "recording_location", "valve_position",
         "auscultation_site", "auscultation_location", "auscultation_point", "auscultation_area",
         "area", "loc")  # fmt: skip
_LABEL = {"murmur", "outcome", "diagnosis", "label", "labels", "class", "target", "disease",
          "abnormal", "abnormality", "pathology", "pathological", "condition", "finding", "y",
          "truth", "status", "as", "ar", "mr", "ms", "mvp", "tr", "ps", "vsd", "asd", "pda", "pfo",
          "chd", "rhd", "stenosis", "regurgitation", "sick", "ill", "rhythm", "grade"}  # fmt: skip
_COVARIATE = {"sex", "gender", "age", "height", "weight", "bmi", "smoker", "smoking", "pregnant",
              "pregnancy", "race", "ethnicity", "lives", "date", "year", "month", "posture", "rate",
              "bp", "hr", "duration", "quality", "channel", "notes", "comment", *SOURCE,
              *FOLD}  # fmt: skip
_POSITIVE = {"present", "abnormal", "positive", "pos", "yes", "y", "true", "1", "ill", "sick",
             "disease", "diseased", "pathological", "case", "murmur", "af"}  # fmt: skip
_NEGATIVE = {"absent", "normal", "negative", "neg", "no", "n", "false", "0", "-1", "healthy",
             "control", "none", "physiological", "innocent", "sinus", "no murmur"}  # fmt: skip
_UNCERTAIN = {"unknown", "unsure", "uncertain", "unclear", "indeterminate", "equivocal"}
GENERIC = {"yes", "no", "y", "n", "true", "false", "0", "1", "-1"}


def plain_name(column: str) -> str:
    """A column's name in small letters, its words joined by one underscore."""
    return re.sub(r"[\W_]+", "_", clean_name(column).casefold()).strip("_")


@dataclass(frozen=True)
class Labels:
    """A column that may hold the labels of a task.

    Parameters
    ----------
    classes : tuple of str
        The positive one first, the negative one last; as most cells spell them.
    rank : int
        0: by its name or classes a label; 1: it may be; 2: nothing says so.
    n_missing, other_spellings : int
        Cells without a label, and cells whose spelling is another than the classes'.
    """

    column: str
    classes: tuple[str, ...]
    rank: int
    n_missing: int
    other_spellings: int
    is_order_known: bool
    uncertain: str | None

    @classmethod
    def of(cls, name: str, cells: pd.Series, of_patient: pd.Series) -> Labels | None:
        """None: the column holds no labels of patients.

        Parameters
        ----------
        name : str
            Of the column.
        cells, of_patient : Series
            Its cells, and whose they are.
        """
        known = cells[~cells.map(is_missing)].map(clean_name)
        spellings: dict[str, Counter[str]] = {}
        for cell in known:
            spellings.setdefault(_sense(cell), Counter())[cell] += 1
        numbers = sum(number(each) is not None for each in spellings)
        most = MOST_NUMBERS if numbers > 1 else MOST_CLASSES
        if not 2 <= len(spellings) <= most or len(known) < 2 * len(spellings):
            return None
        senses = [None if is_missing(each) else _sense(each) for each in cells]
        said = pd.DataFrame({"who": of_patient, "is": senses})
        if (said.groupby("who")["is"].nunique(dropna=False) > 1).any():
            return None
        rank = _rank(plain_name(name), set(spellings))
        if rank is None:
            return None
        names = {sense: each.most_common(1)[0][0] for sense, each in spellings.items()}
        ordered = sorted(spellings, key=lambda s: (_place(s), spellings[s].total(), s))
        places = [_place(each) for each in ordered]
        return cls(
            name,
            tuple(names[each] for each in ordered),
            rank,
            int(len(cells) - len(known)),
            sum(n for s, e in spellings.items() for c, n in e.items() if _differs(c, names[s])),
            places.count(places[0]) == 1,  # by words; else nobody knows which comes first
            next((names[each] for each in ordered if _place(each) == 2), None),
        )  # fmt: skip

    def spelled(self, cell: object) -> str | None:
        """The class of a cell in the spelling of the classes."""
        if is_missing(cell):
            return None
        return next(each for each in self.classes if _sense(each) == _sense(clean_name(cell)))

    def without(self, name: str) -> Labels:
        """The same labels without a class."""
        rest = tuple(each for each in self.classes if each != name)
        return Labels(**{**vars(self), "classes": rest})


def covariates(
    table: pd.DataFrame, patient: str, columns: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Columns that the reader keeps as covariates; and the others, with the reason."""
    who = table[patient]
    varying = {
        column
        for column in columns
        if (table[column].map(said).groupby(who).nunique(dropna=False) > 1).any()
    }
    rows = table[~who.duplicated()].assign(patient_id=who.drop_duplicates())
    kept, notes = tidy(rows, [each for each in columns if each not in varying])
    left_out = [f"{each} (differs within a patient)" for each in columns if each in varying]
    left_out += [item for note in notes if note.name == CROWDED for item in note.items]
    return kept, left_out


def _sense(cell: str) -> str:
    """One text for all spellings of a label: 1 and 1.0, TRUE and true, Present and present."""
    found = number(cell)
    if found is not None:
        return f"{found:g}"
    value = truth(cell)
    return clean_name(cell).casefold() if value is None else str(value).casefold()


def _differs(cell: str, name: str) -> bool:
    """Whether the reader would take a cell for another class than that of its sense."""
    return cell != name and number(cell) is None and truth(cell) is None


def _place(sense: str) -> int:
    """Positive classes first, then those nobody knows, the uncertain, the negative."""
    kinds = {0: _POSITIVE, 2: _UNCERTAIN, 3: _NEGATIVE}
    return next((place for place, words in kinds.items() if sense in words), 1)


def is_covariate_name(column: str) -> bool:
    """Whether a name has a word such as age or device."""
    return bool(set(plain_name(column).split("_")) & _COVARIATE)


def _rank(name: str, senses: set[str]) -> int | None:
    """How much a column looks like labels, see `Labels`; None: it is a covariate by its name."""
    words = set(name.split("_"))
    if words & _COVARIATE:
        return None
    places = {_place(each) for each in senses - GENERIC}
    if words & _LABEL or (0 in places and 3 in places):
        return 0
    return 1 if senses <= GENERIC or places & {0, 3} else 2
