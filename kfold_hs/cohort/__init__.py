"""Recordings and labels on disk -> `Cohort`: one loader a kind of data."""

from __future__ import annotations

from kfold_hs.cohort.aliases import link, read_aliases
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.cohort import Cohort, Note, Task
from kfold_hs.settings import Cinc2016Data, CircorData, DataConfig, SyntheticData, TableData

__all__ = ["Cohort", "Note", "Task", "load"]


def load(config: DataConfig, on_progress: Progress | None = None) -> Cohort:
    """Read the cohort that the data configuration names, its aliases joined.

    Parameters
    ----------
    on_progress : callable, optional
        Called with (recordings read, recordings in all).
    """
    cohort = _load(config, on_progress)
    return link(cohort, read_aliases(config.aliases)) if config.aliases else cohort


def _load(config: DataConfig, on_progress: Progress | None) -> Cohort:
    match config:
        case CircorData():
            from kfold_hs.cohort.circor import load_circor

            return load_circor(config, on_progress)
        case Cinc2016Data():
            from kfold_hs.cohort.cinc2016 import load_cinc2016

            return load_cinc2016(config, on_progress)
        case TableData():
            from kfold_hs.cohort.table import load_table

            return load_table(config, on_progress)
        case SyntheticData():
            from kfold_hs.cohort.synthetic import ensure_cohort
            from kfold_hs.cohort.table import load_table

            table = TableData(
                kind="table",
                path=ensure_cohort(config.n_patients, config.seed),
                person_column="person_id",
                site_column="site",
                tasks=config.tasks,
            )
            return load_table(table, on_progress, name="synthetic")
