"""A run's folder: locked by one process, settled on one configuration, collected at the end."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from kfold_hs.config.compose import differences, load_yaml
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, DamagedFileError, SplitError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, RunPaths, sweep, write_bytes, write_json, write_text
from kfold_hs.files.versions import versions_of
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.orchestrator.hardware import hardware
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.predictions.segmentation import read_segmentation_table, write_segmentation
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split

_T = TypeVar("_T")


@contextlib.contextmanager
def locked(paths: RunPaths) -> Iterator[None]:
    """Only one process works on a run; the lock ends with the process, however it ends."""
    with lock(paths.lock, f"the run {paths.name}"):
        if paths.report_folder.exists():
            sweep(paths.report_folder)
        yield


def check_free(config: Config, paths: RunPaths) -> None:
    """Refuse the folder of a run that began with another configuration.

    Raises
    ------
    ConfigError
        With what differs.
    """
    earlier = _earlier(paths.config, load_yaml)
    if earlier is not None and earlier.digest != config.digest:
        raise ConfigError(
            f"the run {paths.name} exists with another configuration; it differs in "
            f"{listing(differences(earlier.as_dict(), config.as_dict()))}. Give this run "
            "another --name, or remove the old one's folders in reports/ and checkpoints/."
        )


def settle(config: Config, inputs: RunInputs, paths: RunPaths) -> RunInputs:
    """Write what the run begins with, or refuse when its folder began with something else."""
    split = inputs.split
    check_free(config, paths)
    if (found := _earlier(paths.split, Split.read)) is not None:
        if found.assignment != split.assignment:
            raise SplitError(
                f"{paths.split} holds the split {found.digest[:16]} and this run needs "
                f"{split.digest[:16]}: data, seed or number of folds changed. Give this run "
                "another --name."
            )
        split = found  # the same people in the same folds, if by other versions
    write_text(paths.config, config.to_yaml(), True)
    write_json(paths.cohort, inputs.cohort.describe())
    if found is None:
        split.write(paths.split)
    return replace(inputs, split=split)


def _earlier(path: Path, read: Callable[[Path], _T]) -> _T | None:
    """What a run wrote before; one that is damaged is written anew, for the same folds.

    Every fold is stamped with what it stands on, so that nothing of another run is taken for
    one of this.
    """
    if not path.exists():
        return None
    try:
        return read(path)
    except (DamagedFileError, SplitError) as error:
        stored.warn(f"{error} It is written anew.")
        return None


def finished(plan: Plan, paths: RunPaths) -> list[FoldId]:
    """The folds of a plan that are done."""
    return [fold for fold in plan if paths.fold(fold).is_done]


def collect(folds: Sequence[FoldId], context: RunContext) -> None:
    """Put the finished folds together: predictions, histories, and the best fold's model."""
    paths, predictions, histories = context.paths, [], []
    for fold in folds:
        files = paths.fold(fold)
        predictions.append(Predictions.read(files.predictions))
        history = stored.read_history(files.history, of_fold=True)
        for column in ("fold", "seed", "repeat"):
            history.insert(0, column, getattr(fold, column))
        histories.append(history)
    Predictions.concat(predictions).write(paths.predictions, context.digests)
    if context.config.frames.is_on:
        tables = [read_segmentation_table(paths.fold(fold).segmentation) for fold in folds]
        table = pd.concat(tables, ignore_index=True)
        write_segmentation(paths.segmentation, table, context.digests)
    table = pd.concat(histories, ignore_index=True)
    write_text(paths.history, table.to_csv(index=False), True)
    best = table[table["best"]].copy()
    best["accuracy"] = best[[f"acc.{task.name}" for task in context.cohort.tasks]].mean(axis=1)
    first = best.sort_values(["accuracy", "val_loss"], ascending=[False, True]).iloc[0]
    files = paths.fold(FoldId(*(int(first[column]) for column in FoldId._fields)))
    write_bytes(paths.overall_best_model, stored.read_bytes(files.best_model, "the checkpoint"))


def provenance(
    name: str, command: str, digests: Mapping[str, str], device: str, started: float
) -> dict[str, Any]:
    packages = ["kfold-hs", "torch", "torchaudio", "timm", "numpy", "scikit-learn", "pandas"]
    packages += ["iterative-stratification"]
    return {
        "run": name,
        "command": command,
        "digests": dict(digests),
        "versions": versions_of(packages),
        "machine": f"{platform.system()} {platform.machine()}",
        "hardware": hardware(),
        "device": device,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": time.time() - started,
    }
