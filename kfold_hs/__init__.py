"""kfold-hs: K-fold cross-validation of heart-sound classifiers that can be trusted.

    import kfold_hs as kf

    cohort = kf.read_cohort("circor", root="../shared/circor")
    report = kf.cross_validate(cohort, recipe="lite")

Cohorts: `read_cohort`, `Cohort`, `synthetic_cohort`. Splits: `StratifiedPersonKFold`,
`make_split`. Calls: `cross_validate`, `compare`, `tune`; `evaluate` (predictions that any program
made), `validate` (a bundle on other people); `keep_copy` of results. Results: `Report`,
`ComparisonReport`, `SearchReport`, `ValidationReport`, `read_report`, `load_bundle`. Plug-ins:
`register`, `testing`. Errors that a user can solve are `KfoldHsError` (`kfold_hs.errors`).
`docs/python.md` shows them at work; the command line is `kfold-hs`.

Names are loaded when they are first asked for: the import loads neither torch nor pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kfold_hs.openmp import wait_briefly

if TYPE_CHECKING:
    from kfold_hs import errors, register, testing
    from kfold_hs.api.backup import keep_copy
    from kfold_hs.api.choices import ComparisonReport, SearchReport, read_report
    from kfold_hs.api.cohorts import Cohort, read_cohort, synthetic_cohort
    from kfold_hs.api.evidence import ValidationReport, evaluate, validate
    from kfold_hs.api.models import Models, load_bundle
    from kfold_hs.api.report import Report
    from kfold_hs.api.runs import compare, cross_validate, tune
    from kfold_hs.cohort import Task
    from kfold_hs.errors import KfoldHsError
    from kfold_hs.splits.by_splitter import make_split
    from kfold_hs.splits.splitter import StratifiedPersonKFold

__version__ = "0.1.0"

_PLACES = {
    "api.backup": ("keep_copy",),
    "api.choices": ("ComparisonReport", "SearchReport", "read_report"),
    "api.cohorts": ("Cohort", "read_cohort", "synthetic_cohort"),
    "api.evidence": ("ValidationReport", "evaluate", "validate"),
    "api.models": ("Models", "load_bundle"),
    "api.report": ("Report",),
    "api.runs": ("compare", "cross_validate", "tune"),
    "cohort": ("Task",),
    "errors": ("KfoldHsError",),
    "splits.by_splitter": ("make_split",),
    "splits.splitter": ("StratifiedPersonKFold",),
}
"""Module -> the public names that it defines."""
_MODULES = ("errors", "register", "testing")
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Cohort",
    "ComparisonReport",
    "KfoldHsError",
    "Models",
    "Report",
    "SearchReport",
    "StratifiedPersonKFold",
    "Task",
    "ValidationReport",
    "compare",
    "cross_validate",
    "errors",
    "evaluate",
    "keep_copy",
    "load_bundle",
    "make_split",
    "read_cohort",
    "read_report",
    "register",
    "synthetic_cohort",
    "testing",
    "tune",
    "validate",
]

wait_briefly()  # before anything loads torch, which asks once


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"kfold_hs.{name}")
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"kfold_hs.{_PLACE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
