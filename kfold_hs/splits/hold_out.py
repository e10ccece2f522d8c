"""Leave one source out: every fold is one value of a column, such as campaign, hospital or device.

Nothing is drawn: a fold's model is trained on all other sources and scored on one that it has
never met (internal-external cross-validation: Royston et al., Statistics in Medicine 23, 2004;
Steyerberg & Harrell, J. Clin. Epidemiol. 69, 2016).

A person with recordings of several sources is in no fold: trained on, they would show the model a
source that it is scored on; held out, the people of one fold would not be of one source. They are
counted and named in the certificate.
"""

from __future__ import annotations

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.values import are_missing, number
from kfold_hs.errors import SplitError, counted, listing, unknown_name
from kfold_hs.splits.split import TEST, Split
from kfold_hs.splits.strata import in_order, strata
from kfold_hs.splits.stratify import SplitRule, test_units

MOST_VALUES = 20
"""Most values of the column, as of a covariate of words: with more it names people."""


def hold_out(cohort: Cohort, column: str, seed: int, rule: SplitRule) -> Split:
    """The split whose folds are the values of a column of the patients, in their order.

    Parameters
    ----------
    cohort : Cohort
    column : str
        One of `cohort.covariates`. Numbers are values as they are, such as hospital 1, 2, 3.
    seed : int
        Of the draw of hold-out test persons; nothing else is drawn.
    rule : SplitRule
        Its `by` and `test`; there is nothing to stratify.

    Returns
    -------
    Split
        ``settings`` holds the column (``hold_out``), its ``values``, one a fold, and the persons
        who are ``in_several`` and in no fold.

    Raises
    ------
    SplitError
        The column is unknown or has missing values, fewer than 2 or more than `MOST_VALUES`
        values, a value that nobody has alone, or a value whose people lack a class.
    """
    value_of = source_of_patients(cohort, column)
    whole = strata(cohort, (), rule.by)
    units = whole.table.index
    is_test = pd.Series(test_units(cohort, whole, rule, seed), units)
    of_patient = cohort.patients[f"{rule.by}_id"]
    asked = ~of_patient.map(is_test)
    _check_known(cohort, column, value_of[asked])
    sources = value_of[asked].groupby(of_patient[asked])
    several = sorted(map(str, sources.nunique().loc[lambda n: n > 1].index))
    values = in_order(value_of[asked])
    of_unit = sources.first().drop(several)
    _check_values(column, values, of_unit)
    fold = {value: number for number, value in enumerate(values)}
    folds = {str(u): (fold[of_unit[u]] if u in of_unit.index else TEST,) for u in units}
    test = rule.test
    settings = {
        "by": rule.by,
        "stratify": [],
        "test": test if isinstance(test, int | float) else sorted(test),
        "source": f"one {column} held out at a time",
        "hold_out": column,
        "values": values,
        "in_several": several,
    }
    split = Split.of(cohort, folds, len(values), seed, settings)
    split.check(cohort)
    return split


def source_of_patients(cohort: Cohort, column: str) -> pd.Series:
    """The value of every row of `cohort.patients` as a word, None where it is missing.

    Raises
    ------
    SplitError
        There is no such column.
    """
    if column not in cohort.covariates:
        why = ""
        if column in cohort.recordings or column in ("site", "n_recordings"):
            why = " It belongs to recordings, and a person may have several."
        raise SplitError(
            f"{unknown_name('column in split.hold_out', column, cohort.covariates)}{why} It must "
            f"be a column of the patients with at most {MOST_VALUES} different values, the same in "
            "all rows of a patient."
        )
    cells = cohort.patients[column]
    known = ~are_missing(cells)
    numbers = [number(cell) for cell in cells[known]]
    # 1 and 1.0 are one hospital.
    words = cells[known].astype(str)
    if None not in numbers:
        words = pd.Series([f"{each:g}" for each in numbers], cells.index[known], dtype=object)
    return words.reindex(cells.index).where(known, None)


def mixed_sources(cohort: Cohort, column: str, folds: pd.DataFrame) -> list[str]:
    """Sources that a fold holds out and trains on at once, in words; none in an honest split.

    Parameters
    ----------
    folds : DataFrame
        The fold of every recording (`imported.read_folds`).
    """
    by_patient = source_of_patients(cohort, column).set_axis(cohort.patients["patient_id"])
    owner = cohort.recordings.set_index("recording_id")["patient_id"]
    value = owner.reindex(folds.index).map(by_patient)
    found = []
    for _, places in folds.items():
        used = places != TEST
        for source, each in places[used].groupby(value[used]).unique().items():
            if len(each) > 1:
                others = listing(f"fold {fold}" if fold >= 0 else "training" for fold in each)
                found.append(f"{column}={source} in {others}")
    return found


def _check_known(cohort: Cohort, column: str, values: pd.Series) -> None:
    if n_missing := int(values.isna().sum()):
        nameless = cohort.patients.loc[values.index[values.isna()], "patient_id"]
        raise SplitError(
            f"{column} is missing for {counted(n_missing, 'patient')}: {listing(nameless)}. "
            f"split.hold_out={column} must know it of everybody. Add the values, remove these "
            "patients, or name them as hold-out test persons: split.test=[...]."
        )


def _check_values(column: str, values: list[str], of_unit: pd.Series) -> None:
    n = len(values)
    if n > MOST_VALUES:
        raise SplitError(
            f"{column} has {n} different values, e.g. {listing(values, 3)}. split.hold_out takes a "
            f"column with at most {MOST_VALUES}: add a column of fewer groups to the data."
        )
    if n < 2:
        raise SplitError(
            f"{column} has one value, {listing(values)}, for everybody. To hold a source out there "
            "must be 2 at least. Add data of another, or split people: leave split.hold_out away."
        )
    if lost := [value for value in values if value not in set(of_unit)]:
        raise SplitError(
            f"{column}={listing(lost)} is of nobody alone: all its people also have recordings of "
            "another value, and are in no fold. Join the two in the data."
        )
