"""A comparison: every variant a run of its own, on the same people; what it comes to."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.sweep import Design, layout_of
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import ComparisonPaths, RunPaths, write_json, write_text
from kfold_hs.files.room import check_writable
from kfold_hs.files.stored import read_history
from kfold_hs.judge.metrics.own import judged_with
from kfold_hs.judge.results.comparison_result import SCHEMA, Comparison
from kfold_hs.orchestrator.finished import plan_of, variants_tried
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.workflows.cross_validation import run_name
from kfold_hs.workflows.inputs import read_layouts
from kfold_hs.workflows.main_metrics import show_comparison_in_tensorboard
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.variant_runs import VariantResult, VariantRunner

if TYPE_CHECKING:
    from kfold_hs.judge.results.different_folds import Folds
    from kfold_hs.orchestrator.context import RunInputs
    from kfold_hs.splits import Split


@dataclass(frozen=True)
class FinishedComparison:
    """Where its files are, and what it found out."""

    paths: ComparisonPaths
    result: Comparison


@judged_with(lambda design: [name for v in design.variants for name in v.config.plugins])
def compare(
    design: Design,
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
    inputs: RunInputs | None = None,
) -> FinishedComparison:
    """Run every variant that is not finished yet, and compare them.

    A variant's run is what `kfold-hs run` makes of its settings, under the same name: one that
    was made before is used, and an interrupted one goes on. A variant that differs from an earlier
    one only in what predicting reads is not trained: that one's models predict anew.

    Parameters
    ----------
    design : Design
        The first variant is the baseline.
    inputs : RunInputs, optional
        What the first variant begins with, where it is known already.

    Raises
    ------
    UnfinishedError
        Folds of a variant could not be trained; the other variants were run all the same.
    KfoldHsError
        As `cross_validation.run`.
    """
    started = time.time()
    from kfold_hs.judge.results.headline import check_judging
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs, try_parts
    from kfold_hs.learn.training.fold import check
    from kfold_hs.orchestrator.folder import provenance

    device = pick_device(options.device)
    design = design.on(options.fleet.kind(device))
    first = design.variants[0].config
    check_configs(each.config for each in design.variants)
    try_parts(*(each.config for each in design.variants))
    check_writable(options.root, "Give another folder: --root DIR.")
    headline = check_judging(first)
    own = read_layouts({each.name: each.config for each in design.variants}, progress, inputs)
    inputs = own[design.variants[0].name]
    headline.check_folds(inputs.split.n_folds)
    for each in design.variants:
        check_device(each.config)
        check(each.config, own[each.name].cohort)
        own[each.name].check_folds(each.config)
    runs = {each.name: run_name(each.config, own[each.name]) for each in design.variants}
    paths = ComparisonPaths(options.name or name_of_variants("compare", runs, inputs), options.root)
    if paths.is_run:
        raise ConfigError(f"{paths.folder} is the folder of a run. Give another --name.")
    variants = {each.config.variant_digest: runs[each.name] for each in design.variants}
    write_json(paths.plan, plan_of(_splits(own), variants))
    runner = VariantRunner(inputs, paths.predictions, options, own=own)
    n_variants = len(design.variants)
    results = runner.run_all(
        design.variants,
        lambda k: f"variant {k + 1} of {n_variants}: {design.variants[k].name}",
        progress,
    )
    progress.stage("comparison")
    origin = provenance(paths.name, options.command, inputs.digests, str(device), started)
    result = _judge(design, results, own, options.root, origin)
    write_json(paths.content, result.to_json())
    _render(paths, result)
    show_comparison_in_tensorboard(design, paths, result)
    return FinishedComparison(paths, result)


def _splits(own: Mapping[str, RunInputs]) -> list[Split]:
    """The different splits of the variants."""
    return list({each.split.assignment: each.split for each in own.values()}.values())


def _judge(
    design: Design,
    results: Mapping[str, VariantResult],
    own: Mapping[str, RunInputs],
    root: Path,
    provenance: dict[str, Any],
) -> Comparison:
    """The content of comparison.json.

    schema, name, factors, variants (name, levels, run, digest of the configuration, honest,
    predicted_with: the run whose models were asked, or null), simulated, decided,
    sentences (one for each but the baseline, then those on folds and leaks), different_folds and
    leaking (see `judge.results.different_folds`), split (of the baseline), cohort, flips (by task
    and pair), learning (`judge.results.learning_curves.learning` of every variant that was
    trained), provenance, and all that `judge.results.comparison.compare_variants` finds out.
    """
    from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
    from kfold_hs.judge.results.different_folds import (
        different_folds,
        leaks,
        mark_leaks,
        said_of,
    )
    from kfold_hs.judge.results.discordant import flips
    from kfold_hs.judge.results.learning_curves import learning
    from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, SYNTHETIC, to_decide, verdict
    from kfold_hs.judge.stats.factorial import Crossing
    from kfold_hs.judge.stats.paired import CANNOT_TELL
    from kfold_hs.predictions.epoch_rules import HONEST

    first = design.variants[0]
    inputs = own[first.name]
    split, splits = inputs.split, _splits(own)
    scored = {name: each.scored for name, each in results.items()}
    shares = {"n_folds": split.n_folds, "train_share": split.train_share}
    terms = Terms(
        baseline=first.name,
        headline=first.config.headline,
        margins=first.config.judge.margins.model_dump(),
        n_tried=len(set().union(*(variants_tried(root / "reports", each) for each in splits))),
        seed=first.config.seed,
        crossing=Crossing(design.factors, {each.name: each.levels for each in design.variants}),
    )
    variants = Variants.of(scored, inputs.positives, shares, may_differ=True)
    found = compare_variants(variants, terms)
    folds = _folds_of(design, own)
    different, leaking = different_folds(variants, terms, folds), leaks(variants, folds)
    mark_leaks(found, leaking)
    pairs = list(combinations(scored, 2))
    answers = found["headline"]["against_baseline"]
    simulated = first.config.data.kind == SYNTHETIC
    content = {
        "schema": SCHEMA,
        "name": provenance["run"],
        "factors": list(design.factors),
        **found,
        "variants": [
            {
                "name": each.name,
                "levels": list(each.levels),
                "run": results[each.name].run,
                "digest": each.config.digest,
                "predicted_with": results[each.name].predicted_with,
                "honest": HONEST[each.config.select],
            }
            for each in design.variants
        ],
        "simulated": simulated,
        "decided": any(each["verdict"] != CANNOT_TELL for each in answers.values()),
        "sentences": [
            f"{SIMULATED_PEOPLE + ' ' if simulated else ''}"
            f"{verdict(found['headline']['label'], first.name, name, each)} "
            f"{to_decide(each, split.n_repeats)}".rstrip()
            for name, each in answers.items()
        ]
        + said_of(different, leaking),
        "different_folds": different,
        "leaking": leaking,
        "flips": {
            task.name: [
                {
                    "first": a,
                    "second": b,
                    **flips(scored[a], scored[b], task.name, same_folds=False),
                }
                for a, b in pairs
            ]
            for task in inputs.cohort.tasks
        },
        "learning": {
            name: learning(read_history(RunPaths(each.run, root).history), found["tasks"])
            for name, each in results.items()
            if each.predicted_with is None
        },
        "split": {
            "n_folds": split.n_folds,
            "n_repeats": split.n_repeats,
            "seed": split.seed,
            "digest": split.digest,
            "train_share": split.train_share,
            "held_out": {"column": split.settings["hold_out"], "values": list(split.sources)}
            if split.sources
            else None,
        },
        "cohort": inputs.cohort.describe(),
        "provenance": provenance,
    }
    return Comparison.from_json(content)


def _folds_of(design: Design, own: Mapping[str, RunInputs]) -> dict[str, Folds]:
    """What decided the folds of every variant, and whom they tear apart."""
    from kfold_hs.judge.results.different_folds import Folds

    return {
        each.name: Folds(
            layout_of(each.config),
            own[each.name].split.assignment,
            [len(torn) for torn in own[each.name].split.torn(own[each.name].cohort)],
        )
        for each in design.variants
    }


def _render(paths: ComparisonPaths, result: Comparison) -> None:
    from kfold_hs.report.comparison_page import render_comparison

    write_text(paths.page, render_comparison(result))


def name_of_variants(kind: str, runs: Mapping[str, str], inputs: RunInputs) -> str:
    """``<kind>-<data>-<digest8>`` over the variants, in their order."""
    digest = hashlib.sha256(json.dumps(list(runs.items())).encode()).hexdigest()
    return f"{kind}-{inputs.cohort.name}-{digest[:8]}"
