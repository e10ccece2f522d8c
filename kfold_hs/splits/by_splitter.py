"""Any splitter of scikit-learn as a `Split`: checked, certified and audited.

A splitter places rows, and knows nothing of persons but what it is given as ``groups``. Its pairs
of row numbers become the fold of every recording, as those of an imported split, and pass the
same door (`kfold_hs.splits.imported.certify`).
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.values import are_missing
from kfold_hs.errors import (
    SplitError,
    SplitterInputError,
    counted,
    listing,
    shown,
    unknown_name,
)
from kfold_hs.splits.audit import audit as find_leaks
from kfold_hs.splits.audit import refuse_leaks
from kfold_hs.splits.imported import certify
from kfold_hs.splits.split import TRAIN, Split
from kfold_hs.splits.splitter import StratifiedPersonKFold
from kfold_hs.splits.strata import joint_label

_NO_PARTITION = (
    "Folds must hold everybody out equally often: use a K-fold splitter, its repeated form such as "
    "RepeatedStratifiedKFold, or a single split such as ShuffleSplit(1)."
)


@dataclass(frozen=True)
class Splitter:
    """A splitter of scikit-learn, and what it is asked to split.

    Parameters
    ----------
    cv : splitter, int or iterable
        Whatever `sklearn.model_selection.check_cv` takes: an object with `split`, a number of
        folds, or pairs of row numbers (train, test).
    rows : "person", "patient" or "recording"
        What a row is.
    groups : str
        The column that is given as ``groups``: person_id, patient_id or a covariate.
    """

    cv: Any
    rows: Literal["person", "patient", "recording"] = "person"
    groups: str = "person_id"

    def folds(self, cohort: Cohort) -> pd.DataFrame:
        """The fold of every recording, as `imported.read_folds` gives it.

        Raises
        ------
        SplitError
            The splitter refuses these people, or does not make partitions.
        """
        table = self._table(cohort)
        folds = _partitions(self._pairs(table, cohort), table.index)
        owner = cohort.recordings[["recording_id", "patient_id"]]
        owner = owner.assign(person_id=owner["patient_id"].map(cohort.person_of))
        found = pd.DataFrame(folds, index=table.index).loc[owner[f"{self.rows}_id"]]
        return found.set_axis(pd.Index(owner["recording_id"]))

    @property
    def provenance(self) -> dict[str, Any]:
        """Class, parameters and what was split, for the certificate."""
        kind = type(self.cv)
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "parameters": _parameters(self.cv),
            "rows": self.rows,
            "groups": self.groups,
        }

    def _table(self, cohort: Cohort) -> pd.DataFrame:
        """Labels and groups of every row, by its id, ascending."""
        ids = ("person", "patient", "recording")
        if self.rows not in ids:
            raise SplitterInputError(unknown_name("kind of rows", str(self.rows), ids))
        known = [*dict.fromkeys(["person_id", "patient_id", *cohort.covariates])]
        if self.groups not in known:
            raise SplitterInputError(unknown_name("column of groups", str(self.groups), known))
        tasks = [task.name for task in cohort.tasks]
        wanted = list(dict.fromkeys(["patient_id", "person_id", *tasks, self.groups]))
        table = cohort.patients[wanted].assign(groups=cohort.patients[self.groups])
        if self.rows == "recording":
            owners = cohort.recordings[["recording_id", "patient_id"]]
            table = owners.merge(table, on="patient_id")
        each = table.groupby(f"{self.rows}_id", sort=True)
        n_groups = each["groups"].nunique(dropna=False)
        if len(torn := n_groups.index[n_groups > 1]):
            raise SplitError(
                f"{counted(len(torn), self.rows)} with several values of {self.groups}: "
                f"{listing(torn)}. A row has one group; use rows='patient', or other groups."
            )
        groups = each["groups"].first()
        if len(nameless := groups.index[are_missing(groups)]):
            raise SplitError(
                f"{self.groups} is missing for {counted(len(nameless), self.rows)}: "
                f"{listing(nameless)}. Add the values, or use other groups."
            )
        # A person counts with every label that one of their patients has.
        labels = each[tasks].agg(_joined)
        return labels.assign(groups=groups)

    def _pairs(self, table: pd.DataFrame, cohort: Cohort) -> list[tuple[np.ndarray, np.ndarray]]:
        tasks = [task.name for task in cohort.tasks]
        labels: Any = joint_label(table, tasks).to_numpy()
        if isinstance(self.cv, StratifiedPersonKFold):  # takes several labels, in their order
            labels = table[tasks].copy()
            for task in cohort.tasks:
                mixed = sorted(set(labels[task.name]) - set(task.classes))
                labels[task.name] = pd.Categorical(labels[task.name], [*task.classes, *mixed])
        try:
            with warnings.catch_warnings():
                # A joint class may be rarer than folds; that each class is in each is checked.
                for text in ("The groups parameter is ignored", "The least populated class"):
                    warnings.filterwarnings("ignore", text, UserWarning)
                splitter = check_cv(self.cv, labels, classifier=True)
                found = splitter.split(
                    np.zeros((len(table), 1)), labels, table["groups"].to_numpy()
                )
                return [(_numbers(train), _numbers(test)) for train, test in found]
        except (ValueError, TypeError) as error:
            raise SplitterInputError(
                f"{shown(self.cv)} does not split {counted(len(table), self.rows)}: {error}"
            ) from error


def _numbers(rows: Any) -> np.ndarray:
    found = np.asarray(rows)
    return found if found.size else found.astype(np.int64)


def _joined(cells: pd.Series) -> str:
    return " and ".join(sorted(set(cells)))


def make_split(
    cohort: Cohort,
    cv: Any,
    rows: Literal["person", "patient", "recording"] = "person",
    groups: str = "person_id",
    audit: bool = True,
) -> Split:
    """A certified and audited `Split` from any splitter of scikit-learn.

    Parameters
    ----------
    cohort : Cohort
    cv : splitter, int or iterable
        E.g. ``GroupKFold(5)``, ``LeaveOneGroupOut()``, ``RepeatedStratifiedKFold()``,
        ``PredefinedSplit(folds)`` (-1: always trained on), ``ShuffleSplit(1)``, or pairs of row
        numbers. Rows are in the order of their ids; ``y`` is the joint label of all tasks. Splits
        that hold everybody out once become folds of one repeat, and so on for more repeats.
    rows : "person", "patient" or "recording", default="person"
        What is split. Patients and recordings are split as the splitter likes, and checked: a
        person on two sides is refused.
    groups : str, default="person_id"
        The column that the splitter gets as ``groups``: person_id, patient_id or a covariate.
    audit : bool, default=True
        Look for leaks in the recordings too (`kfold_hs.splits.audit`), and refuse them.

    Returns
    -------
    Split
        ``settings["splitter"]`` says class, parameters, rows and groups.

    Raises
    ------
    SplitError
        The splitter does not make partitions, leaves people out, puts a person on two sides, or
        makes a fold without a class; the audit found a leak.
    """
    splitter = Splitter(cv, rows, groups)
    folds = splitter.folds(cohort)
    seed = getattr(cv, "random_state", None)
    described = {"splitter": splitter.provenance}
    split = certify(folds, cohort, _name(cv), seed if isinstance(seed, int) else 0, described)
    if audit:
        refuse_leaks(find_leaks(cohort, folds))
    return split


def _name(cv: Any) -> str:
    name = type(cv).__name__
    if isinstance(cv, Integral):
        return f"cv={cv}"
    return f"the splitter {name}" if hasattr(cv, "split") else f"the pairs of a {name}"


def _parameters(cv: Any) -> dict[str, Any]:
    """What the splitter was made with, as JSON holds it."""
    if not hasattr(cv, "split"):
        return {"n_splits": int(cv)} if isinstance(cv, Integral) else {}
    names = [
        name
        for name, each in inspect.signature(type(cv)).parameters.items()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    more = getattr(cv, "cvargs", {})  # where scikit-learn's Repeated... keep theirs
    values = {name: getattr(cv, name, more.get(name)) for name in names}
    return {
        name: each if each is None or isinstance(each, bool | int | float | str) else str(each)
        for name, each in values.items()
    }


def _partitions(pairs: list[tuple[np.ndarray, np.ndarray]], ids: pd.Index) -> np.ndarray:
    """Fold (or `TRAIN`) of every row in every repeat, (n, n_repeats).

    Raises
    ------
    SplitError
        A pair overlaps or leaves out a row, or rows are held out unequally often.
    """
    n = len(ids)
    held = np.zeros((len(pairs), n), dtype=bool)
    for number, (train, test) in enumerate(pairs):
        is_train = np.zeros(n, dtype=bool)
        try:
            is_train[train], held[number, test] = True, True
        except IndexError as error:
            raise SplitError(f"pair {number} names rows that are not there: {error}.") from error
        if (is_train & held[number]).any():
            both = ids[is_train & held[number]]
            raise SplitError(
                f"pair {number} trains on {counted(len(both), 'row')} that it holds out: "
                f"{listing(both)}. Its scores would be of rows that the model was trained on."
            )
        if len(lost := ids[~is_train & ~held[number]]):
            raise SplitError(
                f"pair {number} leaves {counted(len(lost), 'row')} out: {listing(lost)}. Whoever "
                "is not held out must be trained on; hold-out people are named by split.test."
            )
    is_scored = np.asarray(held.any(axis=0), dtype=bool)
    if not is_scored.any():
        raise SplitError("the splitter holds nobody out, so that nobody could be scored.")
    folds, fold, seen = [np.full(n, TRAIN)], 0, ~is_scored
    sizes = []
    for number, test in enumerate(held):
        if seen.all():  # the next repeat
            sizes.append(fold)
            folds, fold, seen = [*folds, np.full(n, TRAIN)], 0, ~is_scored
        if len(again := ids[test & seen]):
            raise SplitError(
                f"pair {number} holds {counted(len(again), 'row')} out a second time before "
                f"everybody was held out once: {listing(again)}. {_NO_PARTITION}"
            )
        folds[-1][test] = fold
        seen, fold = seen | test, fold + 1
    if not seen.all():
        raise SplitError(
            f"{counted(int((~seen).sum()), 'row is', 'rows are')} held out less often than others: "
            f"{listing(ids[~seen])}. {_NO_PARTITION}"
        )
    if len(set(sizes := [*sizes, fold])) > 1:
        raise SplitError(f"the repeats have {listing(sizes)} folds. All must have as many.")
    return np.stack(folds, axis=1)
