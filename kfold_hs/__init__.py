"""kfold-hs: K-fold cross-validation of heart-sound classifiers that can be trusted.

    import kfold_hs as kf

    cohort = kf.read_cohort("circor", root="../shared/circor")
    report = kf.cross_validate(cohort, recipe="lite")

Cohorts: `read_cohort`, `Cohort`, `synthetic_cohort`. Calls: `cross_validate`, `compare`, `tune`.
Results: `Report`, `ComparisonReport`, `SearchReport`, `read_report`, `load_bundle`. Errors that a
user can solve are `KfoldHsError` (`kfold_hs.errors`). `docs/python.md` shows them at work; the
command line is `kfold-hs`.

Names are loaded when they are first asked for: the import loads neither torch nor pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kfold_hs.openmp import wait_briefly

if TYPE_CHECKING:
    from kfold_hs import errors
    from kfold_hs.api.choices import ComparisonReport, SearchReport, read_report
    from kfold_hs.api.cohorts import Cohort, read_cohort, synthetic_cohort
    from kfold_hs.api.models import Models, load_bundle
    from kfold_hs.api.report import Report
    from kfold_hs.api.runs import compare, cross_validate, tune
    from kfold_hs.cohort import Task
    from kfold_hs.errors import KfoldHsError

__version__ = "0.1.0"

_PLACES = {
    "api.choices": ("ComparisonReport", "SearchReport", "read_report"),
    "api.cohorts": ("Cohort", "read_cohort", "synthetic_cohort"),
    "api.models": ("Models", "load_bundle"),
    "api.report": ("Report",),
    "api.runs": ("compare", "cross_validate", "tune"),
    "cohort": ("Task",),
    "errors": ("KfoldHsError",),
}
"""Module -> the public names that it defines."""
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Cohort",
    "ComparisonReport",
    "KfoldHsError",
    "Models",
    "Report",
    "SearchReport",
    "Task",
    "compare",
    "cross_validate",
    "errors",
    "load_bundle",
    "read_cohort",
    "read_report",
    "synthetic_cohort",
    "tune",
]

wait_briefly()  # before anything loads torch, which asks once


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("kfold_hs.errors")
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"kfold_hs.{_PLACE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
