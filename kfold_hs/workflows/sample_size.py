"""How many people and repeats a comparison needs before it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfold_hs.orchestrator.finished import finished_run


@dataclass(frozen=True)
class Designs:
    """Designs to be compared: every combination of these.

    Parameters
    ----------
    people : sequence of int
        Empty: those of the run, and twice as many.
    """

    people: Sequence[int]
    repeats: Sequence[int]
    folds: Sequence[int]


@dataclass(frozen=True)
class Known:
    """What is known of the variance: a finished run, or assumptions by name.

    Parameters
    ----------
    assumptions : mapping
        As in `judge.stats.sample_size.outlook`.
    folder : Path, optional
        Of a run, under `reports/`.
    task : str, optional
        Of the run.
    """

    assumptions: Mapping[str, float]
    folder: Path | None = None
    task: str | None = None


def plan(metric: str, difference: float, asked: Designs, known: Known) -> dict[str, Any]:
    """What designs will see: from the uncertainty of a run, or from assumptions; no torch.

    Raises
    ------
    KfoldHsError
        A value is out of its bounds, is missing, or is given beside a run that says it.
    """
    from kfold_hs.judge.stats.sample_size import designs, outlook

    summary = None if known.folder is None else finished_run(known.folder).summary
    found = outlook(metric, known.assumptions, summary, known.task)
    people = asked.people or found.people
    return designs(found, difference, people=people, repeats=asked.repeats, folds=asked.folds)
