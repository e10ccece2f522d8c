"""The stories that a user can ask for, each readable on one page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import read_aliases
from kfold_hs.config.compose import load_yaml
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, UnfinishedError
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, check_name, write_text
from kfold_hs.files.stored import read_history
from kfold_hs.judge.results.summary import Summary
from kfold_hs.orchestrator.finished import check_one_split, finished_run
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split
from kfold_hs.splits.audit import Finding, audit
from kfold_hs.splits.imported import read_folds
from kfold_hs.splits.make import make_split
from kfold_hs.workflows.inputs import Ground, Listener, load_cohort

if TYPE_CHECKING:
    from kfold_hs.learn.features.bank import Bank
    from kfold_hs.learn.training.lr_range import Found
    from kfold_hs.orchestrator.executor import Fleet


@dataclass(frozen=True)
class Run:
    """A finished run: where its files are and what its summary says."""

    paths: RunPaths
    summary: Summary


def run(
    config: Config,
    listener: Listener,
    *,
    name: str | None = None,
    root: Path = Path(),
    device: str = "auto",
    command: str = "",
    ground: Ground | None = None,
    fleet: Fleet | None = None,
    gallery: bool = False,
) -> Run:
    """Cross-validate one configuration, from recordings to the report.

    The same call finds what it left and goes on: features, finished folds and the last
    whole epoch of an unfinished one are used again.

    Parameters
    ----------
    config : Config
    listener : Listener
    name : str, optional
        Of the run's folders; by default made of data, recipe and a digest.
    root : Path
        Folder that holds `reports/` and `checkpoints/`.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    command : str
        What the user typed, for the report.
    ground : Ground, optional
        What the run stands on, where it is known already.
    fleet : Fleet, optional
        Where folds are trained, and how many at once; by default here, one after another.
    gallery : bool
        Show the patients who are told worst, as judge.gallery says, once all folds are there.

    Raises
    ------
    UnfinishedError
        Some folds could not be trained; the others were judged and the report is written.
    KfoldHsError
        Any of `kfold_hs.errors`; what was finished before stays and is used again.
    """
    started = time.time()
    from kfold_hs.judge.selection.stacking import Stacking
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.features import bank as banks
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.orchestrator.folder import collect, finished, locked, provenance, settle
    from kfold_hs.orchestrator.plan import Plan
    from kfold_hs.workflows.gallery.story import show_worst
    from kfold_hs.workflows.judgement import judge_run

    if name is not None:
        check_name(name)
    where = pick_device(device)
    fleet = fleet or Fleet()
    config = config.on(fleet.kind(where))
    check_device(config)
    train = fleet.train(where)
    if told := fleet.crowding(where, config.train.threads):
        listener.note(told)
    ground = ground or Ground.of(config, listener)
    cohort, split = ground.cohort, ground.split
    Stacking.of(config, cohort)  # a wrong source is refused before hours of training
    paths = RunPaths(name or run_name(config, cohort, split), root)
    with locked(paths):
        split = settle(config, cohort, split, paths)
        listener.stage("features")
        channel = getattr(config.data, "channel", None)
        bank = banks.build(cohort, config.features, channel, listener.step)
        digests = digests_of(config, cohort, split, bank)
        plan = Plan(config.seed, split.n_repeats, config.n_seeds, split.n_folds)
        listener.training(len(plan), config.train.epochs)
        fault = None
        try:
            train(
                plan, config, cohort, split, bank, paths, digests, where,
                listener.fold, listener.epoch,
            )  # fmt: skip
        except UnfinishedError as error:
            fault = error
        done = finished(plan, paths)
        if fault and not done:
            raise fault
        listener.stage("report")
        collect(done, cohort, paths, digests)
        origin = provenance(paths.name, command, digests, fleet.device(where), started)
        judged = judge_run(paths, config, replace(ground, split=split), origin)
        result = Run(paths, judged)
        wanted = gallery and len(done) == len(plan)
        if wanted and show_worst(paths, config, cohort, split, bank, where, listener):
            report(paths.report_folder)
        if fault:
            raise type(fault)(
                f"{fault} The report of the others says what is missing: {paths.report}. The same "
                "command tries the failed folds again."
            )
        return result


def report(folder: Path) -> Run:
    """Draw the report of a run again, from its folder under `reports/` alone; no torch.

    Raises
    ------
    KfoldHsError
        The folder is not that of a finished run, or its files stand on different splits.
    """
    from kfold_hs.report.gallery import read_gallery
    from kfold_hs.report.run_page import render

    paths, content = finished_run(folder)
    check_one_split(paths, content)
    predictions, history = Predictions.read(paths.predictions), read_history(paths.history)
    config = load_yaml(paths.config).as_dict()
    gallery = read_gallery(paths.gallery, content["provenance"]["digests"])
    with stored.making_sense_of(paths.summary, paths.history, paths.predictions, paths.gallery):
        summary = Summary.from_json(content)
        page = render(summary, history, predictions, config, gallery)
    write_text(paths.report, page)
    return Run(paths, summary)


def plan(
    metric: str,
    difference: float,
    *,
    people: Sequence[int],
    repeats: Sequence[int],
    folds: Sequence[int],
    assumptions: Mapping[str, float],
    folder: Path | None = None,
    task: str | None = None,
) -> dict[str, Any]:
    """What designs will see: from the uncertainty of a run, or from assumptions; no torch.

    Parameters are those of `outlook` and `designs` in `judge.stats.sample_size`; `folder` is a
    run's under `reports/`, and without `people` they are the run's, and twice as many.

    Raises
    ------
    KfoldHsError
        A value is out of its bounds, is missing, or is given beside a run that says it.
    """
    from kfold_hs.judge.stats.sample_size import designs, outlook

    summary = None if folder is None else finished_run(folder)[1]
    found = outlook(metric, assumptions, summary, task)
    asked = people or found.people
    return designs(found, difference, people=asked, repeats=repeats, folds=folds)


def audit_split(
    config: Config, source: Path | None, aliases: Path | None, listener: Listener
) -> tuple[Cohort, list[Finding]]:
    """Audit a split from anywhere; without one, the people themselves."""
    cohort = load_cohort(config, listener)
    folds = None if source is None else read_folds(source, cohort, config.data)
    pairs = read_aliases(aliases) if aliases else []
    listener.stage("audit")
    channel = getattr(config.data, "channel", None)
    return cohort, audit(cohort, folds, pairs, channel, listener.step)


def find_lr(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    lowest_lr: float = 1e-6,
    highest_lr: float = 1.0,
    n_steps: int = 120,
    output: Path | None = None,
) -> Found:
    """A learning-rate range test on the training people of fold 0, plotted to `output`.

    Raises
    ------
    ConfigError
        The range is empty or has too few steps.
    """
    from kfold_hs.learn.data.examples import FoldData
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.features import bank as banks
    from kfold_hs.learn.training.checks import check_config
    from kfold_hs.learn.training.fold import check
    from kfold_hs.learn.training.lr_range import lr_find
    from kfold_hs.report.charts.base import lr_page

    if not 0 < lowest_lr < highest_lr or n_steps < 20:
        raise ConfigError(
            f"--from {lowest_lr:g} --to {highest_lr:g} --steps {n_steps}: the range must go up, "
            "from above 0, in 20 steps or more."
        )
    where = pick_device(device)
    config = config.on(where.type)
    check_device(config)
    check_config(config)
    cohort = load_cohort(config, listener)
    check(config, cohort)
    split = make_split(config, cohort)
    listener.stage("features")
    channel = getattr(config.data, "channel", None)
    bank = banks.build(cohort, config.features, channel, listener.step).to(where)
    data = FoldData.of(cohort, split.fold_of_patients(cohort, 0), 0)
    listener.stage("range test")
    found = lr_find(config, cohort, bank, data, where, lowest_lr, highest_lr, n_steps)
    if output is not None:
        write_text(output, lr_page(found.table, found.steepest, found.lowest))
    return found


def digests_of(config: Config, cohort: Cohort, split: Split, bank: Bank) -> dict[str, str]:
    """What fold models stand on, by name; stamped into all that they leave."""
    from kfold_hs.learn.data.crops import Source

    return {
        "config": config.digest,
        "cohort": cohort.fingerprint,
        "split": split.digest,
        "features": bank.digest,
        **Source.of(config, cohort, bank).digests(),
    }


def run_name(config: Config, cohort: Cohort, split: Split) -> str:
    """``<data>-<recipe>-<digest8>`` over configuration, cohort and split."""
    content = f"{config.digest} {cohort.fingerprint} {split.assignment}"
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"{cohort.name}-{config.recipe}-{digest[:8]}"
