"""Cross-validation of one configuration, from recordings to the report."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kfold_hs.config import plugins
from kfold_hs.config.compose import left_out_target, load_yaml
from kfold_hs.config.plugins import TYPED_IN
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, DamagedFileError, UnfinishedError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, write_text
from kfold_hs.files.room import check_room, check_writable
from kfold_hs.files.stored import read_history
from kfold_hs.judge.results.summary import Summary
from kfold_hs.orchestrator.finished import check_one_split, finished_run
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows.inputs import read_inputs
from kfold_hs.workflows.options import RunOptions

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs
    from kfold_hs.report.render import Page


@dataclass(frozen=True)
class Run:
    """A finished run: where its files are and what its summary says."""

    paths: RunPaths
    summary: Summary


def run(
    config: Config,
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    inputs: RunInputs | None = None,
    gallery: bool = False,
) -> Run:
    """Cross-validate one configuration, from recordings to the report.

    The same call finds what it left and goes on: features, finished folds and the last
    whole epoch of an unfinished one are used again.

    Parameters
    ----------
    inputs : RunInputs, optional
        What the run begins with, where it is known already.
    gallery : bool
        Show the patients with the highest loss, as judge.gallery says, once all folds are there.

    Raises
    ------
    UnfinishedError
        Some folds could not be trained; the others were judged and the report is written.
    KfoldHsError
        Any of `kfold_hs.errors`; what was finished before stays and is used again.
    """
    started = time.time()
    from kfold_hs.judge.results.headline import check_judging

    headline = check_judging(config)  # what trains takes seconds to load
    from kfold_hs.judge.metrics.own import try_metrics
    from kfold_hs.judge.selection.stacking import Stacking
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_config, try_parts
    from kfold_hs.orchestrator.context import RunContext
    from kfold_hs.orchestrator.cost import needs
    from kfold_hs.orchestrator.folder import (
        check_free,
        collect,
        finished,
        locked,
        provenance,
        settle,
    )  # fmt: skip
    from kfold_hs.workflows.gallery.story import show_gallery
    from kfold_hs.workflows.judgement import judge_run
    from kfold_hs.workflows.main_metrics import show_run_in_tensorboard
    from kfold_hs.workflows.mlflow_runs import followed

    fleet, device = options.fleet, pick_device(options.device)
    config = config.on(fleet.kind(device))
    check_device(config)
    if TYPED_IN in config.plugins and (fleet.jobs or 1) > 1:
        raise ConfigError(
            f"jobs={fleet.jobs} trains in processes of their own, which cannot import what was "
            "defined in a notebook or script: write the class into a file NAME.py and give "
            "plugins=[NAME], or leave jobs out."
        )
    train = fleet.train(device)
    if warning := fleet.crowding(device, config.train.threads):
        progress.note(warning)
    try_metrics(config.plugins)
    check_writable(options.root, "Give another folder: --root DIR.")
    if options.name is not None:
        check_free(config, RunPaths(options.name, options.root))
    if inputs is None:
        check_config(config)
    try_parts(config)
    inputs = inputs or read_inputs(config, progress)
    headline.check_folds(inputs.split.n_folds)
    Stacking.of(config, inputs.cohort)  # a wrong source is refused before hours of training
    paths = RunPaths(options.name or run_name(config, inputs), options.root)
    check_room(needs(config, inputs, paths), "Make room, or name another --root or KFOLD_HS_CACHE.")
    for note in (_of_changed_plugins(config, paths), left_out_target(config)):
        if note:
            progress.note(note)
    with locked(paths), contextlib.ExitStack() as until_judged:
        inputs = settle(config, inputs, paths)
        context = RunContext.prepare(config, inputs, paths, device, progress)
        tracked = until_judged.enter_context(followed(config, paths, context.digests, progress))
        plan = context.plan
        progress.training(len(plan), config.train.epochs)
        fault = None
        try:
            train(plan, context, tracked or progress)
        except UnfinishedError as error:
            fault = error
        done = finished(plan, paths)
        if fault and not done:
            raise fault
        progress.stage("report")
        collect(done, context)
        origin = provenance(
            paths.name, options.command, context.digests, fleet.device(device), started
        )
        judged = judge_run(paths, config, inputs, origin)
        result = Run(paths, judged)
        wanted = gallery and len(done) == len(plan)
        if wanted and show_gallery(context, progress):
            report(paths.report_folder)
        show_run_in_tensorboard(config, paths, judged)
        if tracked:
            tracked.judged(judged)
        if fault:
            raise type(fault)(
                f"{fault} The report of the others says what is missing: {paths.report}. The same "
                "command tries the failed folds again."
            )
        return result


def _of_changed_plugins(config: Config, paths: RunPaths) -> str | None:
    """Why a run is another one than before: it differs from one that is there by source alone."""
    if not config.plugins or paths.config.exists():
        return None
    mine = {key: value for key, value in config.as_dict().items() if key != "plugins"}
    for folder in sorted(paths.report_folder.parent.glob("*/config.yaml")):
        try:
            with plugins.reading_only():
                other = load_yaml(folder)
        except (ConfigError, DamagedFileError):
            continue
        changed = [
            name
            for name, plugin in config.plugins.items()
            if name in other.plugins and other.plugins[name].sha256 != plugin.sha256
        ]
        theirs = {key: value for key, value in other.as_dict().items() if key != "plugins"}
        if changed and mine == theirs and set(other.plugins) == set(config.plugins):
            return (
                f"The source of {listing(changed)} has changed since the run {folder.parent.name}, "
                f"which stays as it is: this is a new run, {paths.name}."
            )
    return None


def report(folder: Path) -> tuple[Run, Page]:
    """Draw the report of a run again, and write it; as `draw`."""
    run, page = draw(folder)
    write_text(run.paths.report, page)
    return run, page


def draw(folder: Path) -> tuple[Run, Page]:
    """The report of a run, from its folder under `reports/` alone; no torch, nothing is written.

    Raises
    ------
    KfoldHsError
        The folder is not that of a finished run, or its files stand on different splits.
    """
    from kfold_hs.report.gallery import read_gallery
    from kfold_hs.report.run_page import render

    run = finished_run(folder)
    check_one_split(run)
    paths = run.paths
    predictions, history = Predictions.read(paths.predictions), read_history(paths.history)
    gallery = read_gallery(paths.gallery, run.digests)
    with stored.making_sense_of(paths.summary, paths.history, paths.predictions, paths.gallery):
        summary = Summary.from_json(run.summary)
        page = render(summary, history, predictions, run.config.as_dict(), gallery)
    return Run(paths, summary), page


def run_name(config: Config, inputs: RunInputs) -> str:
    """``<data>-<recipe>-<digest8>`` over configuration, cohort and split."""
    cohort, assignment = inputs.cohort, inputs.split.assignment
    content = f"{config.digest} {cohort.fingerprint} {assignment}"
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"{cohort.name}-{config.recipe}-{digest[:8]}"
