"""A learning-rate range test on the training people of fold 0."""

from __future__ import annotations

from pathlib import Path

from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId, RunPaths, write_text
from kfold_hs.learn.device import check_device, device_kind, pick_device
from kfold_hs.learn.training.checks import check_config
from kfold_hs.learn.training.fold import check
from kfold_hs.learn.training.lr_range import Found, Range, lr_find
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.report.charts.base import lr_page
from kfold_hs.splits.make import split_of
from kfold_hs.workflows.inputs import cohort_to_split

__all__ = ["Found", "Range", "find_lr"]


def find_lr(
    config: Config,
    progress: Progress,
    rates: Range = Range(),  # noqa: B008 - frozen
    device: str = "auto",
    output: Path | None = None,
) -> Found:
    """Run the test, and plot it to `output`.

    Raises
    ------
    ConfigError
        The range is empty or has too few steps.
    """
    if not 0 < rates.lowest < rates.highest or rates.n_steps < 20:
        raise ConfigError(
            f"--from {rates.lowest:g} --to {rates.highest:g} --steps {rates.n_steps}: the range "
            "must go up, from above 0, in 20 steps or more."
        )
    where = pick_device(device)
    config = config.on(device_kind(where))
    check_device(config)
    check_config(config)
    cohort = cohort_to_split(config, progress)
    check(config, cohort)
    inputs = RunInputs(cohort, split_of(config, cohort))
    context = RunContext.prepare(config, inputs, RunPaths("lr-find"), where, progress).on_device()
    progress.stage("range test")
    found = lr_find(context.fold(FoldId(0, 0, 0)), rates)
    if output is not None:
        write_text(output, lr_page(found.table, found.steepest, found.lowest))
    return found
