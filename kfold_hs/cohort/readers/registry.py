"""`READERS`: the reader of each kind of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kfold_hs.cohort.aliases import link, read_aliases
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.readers.bmdhs import load_bmdhs
from kfold_hs.cohort.readers.cinc2016 import load_cinc2016
from kfold_hs.cohort.readers.circor import load_circor
from kfold_hs.cohort.readers.synthetic import load_synthetic
from kfold_hs.cohort.readers.table import load_table
from kfold_hs.cohort.readers.zchsound import load_zchsound
from kfold_hs.config.schema import DataConfig

READERS: dict[str, Callable[[Any, Progress | None], Cohort]] = {
    "bmdhs": load_bmdhs,
    "cinc2016": load_cinc2016,
    "circor": load_circor,
    "synthetic": load_synthetic,
    "table": load_table,
    "zchsound": load_zchsound,
}
"""`kind` of the data configuration -> reader: (configuration, progress) -> `Cohort`."""


def read_cohort(config: DataConfig, on_progress: Progress | None = None) -> Cohort:
    """Read the cohort of a data configuration, and join its aliases.

    Parameters
    ----------
    on_progress : callable, optional
        Called with (recordings read, recordings in all).
    """
    cohort = READERS[config.kind](config, on_progress)
    return link(cohort, read_aliases(config.aliases)) if config.aliases else cohort
