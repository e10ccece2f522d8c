"""What --dry-run tells: what a run, or all runs of a comparison, would train and cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.config.schema import Config
from kfold_hs.files.paths import RunPaths
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.workflows.cross_validation import run_name
from kfold_hs.workflows.inputs import read_layouts
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.variant_runs import training_of


def estimate_cost(
    variants: Mapping[str, Config],
    progress: Progress,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """What would be trained: recordings are read and audited, no run is begun.

    Parameters
    ----------
    variants : mapping
        Configurations by name, on the same people: one for `run`, several for `compare`.

    Returns
    -------
    dict
        repeats, seeds, folds (of each variant), jobs, device; runs: a list of name, run, folds
        (all fold models), done, steps, predict_batches (of a fold model), step_s, predict_s,
        fold_s, branches (frame branches that neither the cache has nor a run before trains),
        branch_s (of one), left_s, memory_bytes (of a process), disk_bytes, bank_bytes,
        has_features, predicted_with (the run whose models are asked, or null); left, left_s,
        at_least_s (were all jobs busy all the time, and none slower for the others).
    """
    from kfold_hs.judge.results.headline import check_judging
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs
    from kfold_hs.orchestrator.cost import estimate

    device = pick_device(options.device)
    jobs, kind = options.fleet.n_jobs(device), options.fleet.kind(device)
    first = next(iter(variants.values()))
    check_configs(variants.values())
    check_judging(first)
    inputs = read_layouts(variants, progress)
    split = next(iter(inputs.values())).split
    progress.stage("timing run")
    runs: list[dict[str, Any]] = []
    trained: dict[str, str] = {}
    branches: set[Path] = set()
    for number, (variant, config) in enumerate(variants.items(), start=1):
        own_inputs = inputs[variant]
        config = config.on(kind)
        check_device(config)
        own_inputs.check_folds(config)
        own = RunPaths(options.name or run_name(config, own_inputs), options.root)
        models = trained.get(training_of(config, own_inputs))
        found = estimate(config, own_inputs, own, device)
        asks = models is not None and not own.predictions.exists()
        if not asks:
            trained.setdefault(training_of(config, own_inputs), own.name)
        cost, n_left = found.timing, 0 if asks else found.n_left
        n_branches = len(found.branches - branches)
        branches |= found.branches
        runs.append(
            {
                "name": variant,
                "run": own.name,
                "predicted_with": models if asks else None,
                "folds": found.n_folds,
                "done": found.n_done,
                "left": n_left,
                "steps": found.n_steps,
                "predict_batches": found.n_batches,
                "step_s": cost.step_s,
                "predict_s": cost.predict_s,
                "fold_s": found.fold_s,
                "branches": n_branches,
                "branch_s": found.branch.total_s if found.branch else 0.0,
                "left_s": found.left_s(n_left, n_branches),
                "memory_bytes": found.fold_bytes,
                "disk_bytes": 0 if asks else found.disk_bytes(jobs),
                "bank_bytes": found.bank_bytes,
                "has_features": found.has_features,
            }
        )
        progress.step(number, len(variants))
    left_s = sum(each["left_s"] for each in runs)
    return {
        "repeats": split.n_repeats,
        "seeds": first.n_seeds,
        "folds": split.n_folds,
        "jobs": jobs,
        "device": str(device),
        "runs": runs,
        "left": sum(each["left"] for each in runs),
        "left_s": left_s,
        "at_least_s": left_s / jobs,
    }
