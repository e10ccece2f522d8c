"""A run's folder: locked by one process, settled on one configuration, collected at the end."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import differences, load_yaml
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, DamagedFileError, SplitError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, sweep, write_bytes, write_json, write_text
from kfold_hs.learn.random_streams import Place
from kfold_hs.orchestrator.hardware import hardware
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.plan import Plan
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


def settle(config: Config, cohort: Cohort, split: Split, paths: RunPaths) -> Split:
    """Write what the run stands on, or refuse when its folder stands on something else."""
    earlier = _earlier(paths.config, load_yaml)
    if earlier is not None and earlier.digest != config.digest:
        raise ConfigError(
            f"the run {paths.name} exists with another configuration; it differs in "
            f"{listing(differences(earlier.as_dict(), config.as_dict()))}. Give this run "
            "another --name, or remove the old one's folders in reports/ and checkpoints/."
        )
    if (found := _earlier(paths.split, Split.read)) is not None:
        if found.assignment != split.assignment:
            raise SplitError(
                f"{paths.split} holds the split {found.digest[:16]} and this run needs "
                f"{split.digest[:16]}: data, seed or number of folds changed. Give this run "
                "another --name."
            )
        split = found  # the same people in the same folds, if by other versions
    write_text(paths.config, config.to_yaml(), True)
    write_json(paths.cohort, cohort.describe())
    if found is None:
        split.write(paths.split)
    return split


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


def finished(plan: Plan, paths: RunPaths) -> list[Place]:
    """The folds of a plan that are done."""
    return [p for p in plan if paths.fold(p.repeat, p.seed, p.fold).is_done]


def collect(
    places: Sequence[Place], cohort: Cohort, paths: RunPaths, digests: Mapping[str, str]
) -> None:
    """Put the finished folds together: predictions, histories, and the best fold's model."""
    predictions, histories = [], []
    for place in places:
        files = paths.fold(place.repeat, place.seed, place.fold)
        predictions.append(Predictions.read(files.predictions))
        history = stored.read_history(files.history, of_fold=True)
        for column in ("fold", "seed", "repeat"):
            history.insert(0, column, getattr(place, column))
        histories.append(history)
    Predictions.concat(predictions).write(paths.predictions, digests)
    table = pd.concat(histories, ignore_index=True)
    write_text(paths.history, table.to_csv(index=False), True)
    best = table[table["best"]].copy()
    best["accuracy"] = best[[f"acc.{task.name}" for task in cohort.tasks]].mean(axis=1)
    first = best.sort_values(["accuracy", "val_loss"], ascending=[False, True]).iloc[0]
    files = paths.fold(*(int(first[column]) for column in ("repeat", "seed", "fold")))
    write_bytes(paths.overall_best_model, stored.read_bytes(files.best_model, "the checkpoint"))


def provenance(
    name: str, command: str, digests: Mapping[str, str], device: str, started: float
) -> dict[str, Any]:
    packages = ["kfold-hs", "torch", "torchaudio", "timm", "numpy", "scikit-learn", "pandas"]
    packages += ["iterative-stratification"]
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "run": name,
        "command": command,
        "digests": dict(digests),
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
        "hardware": hardware(),
        "device": device,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": time.time() - started,
    }
