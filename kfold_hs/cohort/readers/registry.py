"""Reads data by the module of this folder, or the plug-in, that is called like their kind."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pandas as pd

from kfold_hs.cohort.aliases import link, read_aliases
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import tasks_of
from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.readers.table import cohort_of_frame
from kfold_hs.config.data import DATA
from kfold_hs.config.schema import DataConfig
from kfold_hs.errors import CohortError, listing


def _of_plugin(found: Any, config: DataConfig, on_progress: Progress | None) -> Cohort:
    """What a plug-in's reader gave, checked."""
    if isinstance(found, pd.DataFrame):
        return cohort_of_frame(found, config, on_progress)
    if not isinstance(found, Cohort):
        raise CohortError(
            f"data={config.kind} gave a {type(found).__name__}: a reader gives a data frame with a "
            "row for each recording, or a kfold_hs.Cohort."
        )
    tasks = tasks_of(config.tasks)
    if [each.name for each in found.tasks] != [each.name for each in tasks]:
        raise CohortError(
            f"data={config.kind} gave a cohort with the tasks "
            f"{listing(each.name for each in found.tasks)}, and data.tasks has "
            f"{listing(each.name for each in tasks)}: they must be the same."
        )
    return replace(found, name=config.kind, tasks=tasks)


def read_cohort(config: DataConfig, on_progress: Progress | None = None) -> Cohort:
    """Read the cohort of a data configuration, and join its aliases.

    Parameters
    ----------
    on_progress : callable, optional
        Called with (recordings read, recordings in all).
    """
    if (build := DATA.of(config).build) is None:
        cohort = import_module(f"kfold_hs.cohort.readers.{config.kind}").load(config, on_progress)
    else:
        cohort = _of_plugin(build(config, on_progress), config, on_progress)
    return link(cohort, read_aliases(config.aliases)) if config.aliases else cohort
