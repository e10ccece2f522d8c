"""Reader of the built-in cohort, which is made in the cache on first use."""

from __future__ import annotations

from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.readers import table
from kfold_hs.cohort.synthetic.dataset import ensure_cohort
from kfold_hs.config.schema import SyntheticData, TableData


def load(config: SyntheticData, on_progress: Progress | None = None) -> Cohort:
    """Read the cohort of `config.n_patients` simulated patients from `config.seed`."""
    settings = TableData(
        kind="table",
        path=ensure_cohort(config.n_patients, config.seed),
        person_column="person_id",
        site_column="site",
        timing_column="murmur_timing",
        tasks=config.tasks,
    )
    return table.load(settings, on_progress, name="synthetic")
