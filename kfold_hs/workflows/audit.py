"""Audit of a split from anywhere, or of the people themselves."""

from __future__ import annotations

from pathlib import Path

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import read_aliases
from kfold_hs.config.schema import Config
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.splits.audit import Finding, audit
from kfold_hs.splits.imported import held_out_column, read_folds
from kfold_hs.workflows.inputs import load_cohort


def audit_split(
    config: Config, source: Path | None, aliases: Path | None, progress: Progress
) -> tuple[Cohort, list[Finding]]:
    """Audit a split from anywhere; without one, the people themselves."""
    cohort = load_cohort(config, progress)
    folds = None if source is None else read_folds(source, cohort, config.data)
    pairs = read_aliases(aliases) if aliases else []
    column = None if source is None else held_out_column(source)
    progress.stage("audit")
    return cohort, audit(cohort, folds, pairs, progress.step, column)
