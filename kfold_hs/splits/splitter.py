"""The stratifier of kfold-hs as a splitter that obeys scikit-learn's contract.

It goes wherever one of `sklearn.model_selection` goes, such as `cross_validate` and
`GridSearchCV`. The other direction is `kfold_hs.splits.by_splitter`.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, column_or_1d

from kfold_hs.errors import SplitterInputError, counted, listing, shown
from kfold_hs.splits.strata import Strata, label_levels, table_of
from kfold_hs.splits.stratify import draw_folds

_CLASSES = ("binary", "multiclass")


class StratifiedPersonKFold(BaseCrossValidator):  # type: ignore[misc]
    """K folds of whole persons, stratified on every label at once, by the rules of kfold-hs.

    All rows of a person (``groups``) are on the same side. A person counts with every class that
    one of their rows has. The folds are those that ``kfold-hs run`` draws for people with these
    ids, labels and numbers of recordings without covariates (``split.stratify=[]``) from the same
    seed; see `kfold_hs.splits.stratify`.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2 and at most the number of persons of the rarest class.
    n_repeats : int, default=1
        How many times everybody is split anew; with 1 the folds are a partition, as
        `cross_val_predict` needs.
    random_state : int, RandomState or None, default=0
        An integer gives the same folds at every call; a `RandomState`, or None (numpy's global
        one), others at every call.

    Raises
    ------
    SplitterInputError
        A parameter is out of its bounds. It is a `ValueError`.

    Examples
    --------
    >>> import numpy as np
    >>> cv = StratifiedPersonKFold(n_splits=2)
    >>> X, y = np.zeros((8, 1)), ["a", "a", "b", "b", "a", "a", "b", "b"]
    >>> persons = [1, 1, 2, 2, 3, 3, 4, 4]
    >>> [len(test) for _, test in cv.split(X, y, persons)]
    [4, 4]

    References
    ----------
    Sechidis et al., "On the Stratification of Multi-label Data", ECML PKDD 2011.
    """

    # As in scikit-learn's own group splitters: metadata routing hands groups on unasked.
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        n_splits: int = 5,
        n_repeats: int = 1,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        for name, value, lowest in (("n_splits", n_splits, 2), ("n_repeats", n_repeats, 1)):
            is_whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not is_whole or value < lowest:
                raise SplitterInputError(
                    f"{name}={shown(value)} does not fit: a whole number of at least {lowest}."
                )
        if isinstance(random_state, Integral):
            if random_state < 0:
                raise SplitterInputError(
                    f"random_state={shown(random_state)} does not fit: a whole number of at least "
                    "0, a RandomState or None."
                )
        else:
            check_random_state(random_state)
        self.n_splits, self.n_repeats, self.random_state = n_splits, n_repeats, random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        """Number of pairs that `split` yields: ``n_splits * n_repeats``.

        Parameters
        ----------
        X, y, groups : object, optional
            Not used; scikit-learn gives them.
        """
        return int(self.n_splits * self.n_repeats)

    def split(
        self,
        X: Any,  # noqa: N803
        y: Any,
        groups: Any = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers to train on and to test on, fold by fold, repeat after repeat.

        Parameters
        ----------
        X : array-like, shape (n, ...)
            Only its length counts. A row is a recording, or a patient.
        y : array-like, shape (n,) or (n, n_labels)
            Classes as integers, truth values or words; several columns are several labels, such as
            a 2-D indicator. Categorical columns keep the order of their categories.
        groups : array-like, shape (n,)
            The person of every row. It must be given: if every row is a person of its own, give
            ``groups=range(len(X))``.

        Yields
        ------
        train, test : ndarray of int64

        Raises
        ------
        SplitterInputError
            `groups` or `y` is missing or holds missing values, `y` is continuous, or a class has
            fewer persons than there are folds.
        """
        return super().split(X, y, groups)  # type: ignore[no-any-return]

    def _iter_test_indices(
        self,
        X: Any,  # noqa: N803
        y: Any,
        groups: Any,
    ) -> Iterator[np.ndarray]:
        # Of strings, as in a cohort, whose people are in the order of their ids.
        units = pd.Series(_persons(groups)).map(str)
        labels = _labels(y)
        check_consistent_length(X, labels, units)
        whole = _strata(labels, units)
        self._check_classes(whole)
        rows, place = np.arange(len(whole.table)), whole.table.index.get_indexer(pd.Index(units))
        seed = self._seed()
        for repeat in range(self.n_repeats):
            fold = draw_folds(whole, rows, self.n_splits, (seed, repeat))[place]
            for each in range(self.n_splits):
                yield np.flatnonzero(fold == each)

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _check_classes(self, whole: Strata) -> None:
        n_splits, n_persons = self.n_splits, len(whole.table)
        if n_splits > n_persons:
            raise SplitterInputError(
                f"Cannot have number of splits n_splits={n_splits} greater than the number of "
                f"groups: {n_persons}. All rows of a group are in one fold."
            )
        counts = whole.table.sum()[whole.is_class]
        if len(rare := counts[counts < n_splits]):
            each = listing(
                f"{name} occurs in {counted(int(n), 'person')}" for name, n in rare.items()
            )
            fewer = f"Use n_splits={rare.min():.0f}, or merge" if rare.min() >= 2 else "Merge"
            raise SplitterInputError(
                f"{each}, but n_splits={n_splits} folds need at least {n_splits}. {fewer} the "
                "class with another."
            )


def _persons(groups: Any) -> Any:
    if groups is None:
        raise SplitterInputError(
            "The 'groups' parameter should not be None: it says which rows are of one person, who "
            "must not be on two sides. If every row is a person of its own, give "
            "groups=range(len(X))."
        )
    found = column_or_1d(list(groups) if isinstance(groups, range) else groups)
    if n_missing := int(pd.isna(found).sum()):
        raise SplitterInputError(
            f"groups is missing in {counted(n_missing, 'row')}, for whom nobody knows who they "
            "are. Give every row a person."
        )
    return found


def _labels(y: Any) -> pd.DataFrame:
    """Every label as a column of categories."""
    if y is None:
        raise SplitterInputError("The 'y' parameter should not be None: it holds the labels.")
    if isinstance(y, pd.Series):
        y = y.to_frame()
    elif not isinstance(y, pd.DataFrame):
        dense = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        if dense.ndim not in (1, 2) or 0 in dense.shape[1:]:
            raise SplitterInputError(
                f"y has the shape {dense.shape}. It must be (n,), or (n, n_labels) for several "
                "labels."
            )
        y = pd.DataFrame(dense.reshape(len(dense), -1))
    names = ["y"] if y.shape[1] == 1 else [f"y[{i}]" for i in range(y.shape[1])]
    return pd.DataFrame({name: _classes(y.iloc[:, i]) for i, name in enumerate(names)})


def _classes(column: pd.Series) -> pd.Series:
    if n_missing := int(column.isna().sum()):
        raise SplitterInputError(
            f"y is missing in {counted(n_missing, 'row')}. Remove them, or give them a class."
        )
    column = column.reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories()
    values = column.to_numpy()
    if (kind := type_of_target(values)) not in _CLASSES:
        raise SplitterInputError(
            f"Supported target types are: {_CLASSES}, and several columns of them. Got {kind!r} "
            f"instead, e.g. {shown(values[0])}. Cut numbers into classes, e.g. by pandas.cut."
        )
    return column.astype("category")


def _strata(labels: pd.DataFrame, units: pd.Series) -> Strata:
    index = pd.Index(sorted(set(units)))
    classes = {str(name): list(labels[name].cat.categories) for name in labels}
    sizes = {"persons": 1, "patients": 1, "recordings": units.value_counts().reindex(index)}
    return table_of(label_levels(labels, classes, units), pd.DataFrame(sizes, index=index))
