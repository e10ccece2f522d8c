"""The story of --dry-run: what a run, or all runs of a comparison, would train and cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.schema import Config
from kfold_hs.files.paths import RunPaths, check_name
from kfold_hs.workflows.cross_validation import run_name
from kfold_hs.workflows.inputs import Ground, Listener

if TYPE_CHECKING:
    from kfold_hs.orchestrator.executor import Fleet


def foresee(
    variants: Mapping[str, Config],
    listener: Listener,
    *,
    name: str | None = None,
    root: Path = Path(),
    device: str = "auto",
    fleet: Fleet | None = None,
) -> dict[str, Any]:
    """What would be trained: recordings are read and audited, no run is begun.

    Parameters
    ----------
    variants : mapping
        Configurations by name, on one ground: one for `run`, several for `compare`.
    name : str, optional
        Of the run, where there is one.
    root, device, fleet
        As of `experiment.run`.

    Returns
    -------
    dict
        repeats, seeds, folds (of each variant), jobs, device; runs: a list of name, run, folds
        (all fold models), done, steps, predict_batches (of a fold model), step_s, predict_s,
        fold_s, left_s, memory_bytes (of a process), disk_bytes, bank_bytes, has_features,
        predicted_with (the run whose models are asked, or null); left, left_s,
        at_least_s (were all jobs busy all the time, and none slower for the others).
    """
    from kfold_hs.learn.device import check_device, pick_device
    from kfold_hs.learn.training.checks import check_configs
    from kfold_hs.orchestrator.cost import estimate
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.orchestrator.plan import Plan

    if name is not None:
        check_name(name)
    where = pick_device(device)
    fleet = fleet or Fleet()
    jobs, kind = fleet.n_jobs(where), fleet.kind(where)
    first = next(iter(variants.values()))
    check_configs(variants.values())
    ground = Ground.of(first, listener)
    split = ground.split
    listener.stage("rehearsal")
    runs: list[dict[str, Any]] = []
    trained: dict[str, str] = {}
    for number, (variant, config) in enumerate(variants.items(), start=1):
        cohort = ground.for_tasks_of(config).cohort
        config = config.on(kind)
        check_device(config)
        own = RunPaths(name or run_name(config, cohort, split), root)
        models = trained.get(config.training_digest)
        found = estimate(
            Plan(config.seed, split.n_repeats, config.n_seeds, split.n_folds),
            config, cohort, split, own, where,
        )  # fmt: skip
        asks = models is not None and not own.predictions.exists()
        if not asks:
            trained.setdefault(config.training_digest, own.name)
        cost = found.rehearsal
        runs.append(
            {
                "name": variant,
                "run": own.name,
                "predicted_with": models if asks else None,
                "folds": found.n_folds,
                "done": found.n_done,
                "left": 0 if asks else found.n_left,
                "steps": found.n_steps,
                "predict_batches": found.n_batches,
                "step_s": cost.step_s,
                "predict_s": cost.predict_s,
                "fold_s": found.fold_s,
                "left_s": 0.0 if asks else found.left_s,
                "memory_bytes": found.fold_bytes,
                "disk_bytes": 0 if asks else found.disk_bytes(jobs),
                "bank_bytes": found.bank_bytes,
                "has_features": found.has_features,
            }
        )
        listener.step(number, len(variants))
    left_s = sum(each["left_s"] for each in runs)
    return {
        "repeats": split.n_repeats,
        "seeds": first.n_seeds,
        "folds": split.n_folds,
        "jobs": jobs,
        "device": str(where),
        "runs": runs,
        "left": sum(each["left"] for each in runs),
        "left_s": left_s,
        "at_least_s": left_s / jobs,
    }
