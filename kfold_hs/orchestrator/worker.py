"""One fold's work, wherever it is done: locked, trained, and its end reported.

A fold that cannot be trained does not end the others. What every fold would meet does: a full
disk, weights that cannot be had, a configuration that cannot work.
"""

from __future__ import annotations

import re
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from kfold_hs.errors import (
    ConfigError,
    DeviceError,
    DivergedError,
    KfoldHsError,
    MemoryFullError,
    TrainingError,
    UnfinishedError,
)
from kfold_hs.files.paths import FoldId, remove, sweep, write_json
from kfold_hs.learn.checkpoint import check_digests
from kfold_hs.learn.device import exactness, threads
from kfold_hs.learn.tracking.trackers import make_trackers
from kfold_hs.learn.training.fold import OnEpoch, fit_fold
from kfold_hs.orchestrator.context import RunContext
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions

_OF_A_DEVICE = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS", "cuFFT error")
"""Libraries of a GPU raise plain RuntimeErrors."""
LOCK_WAIT_S = 120.0
"""So long may whoever trained a fold before take to end, once nobody waits for it any more."""


@dataclass(frozen=True)
class Outcome:
    """How a fold ended: "done" or "failed", and a remark or why.

    `memory_full`: it failed for want of memory, and may not when it is tried again.
    """

    state: str
    text: str = ""
    memory_full: bool = False


def folds_to_do(plan: Plan, context: RunContext, progress: Progress) -> list[FoldId]:
    """The folds of a plan that are not done; those that are, are reported to `progress`.

    Raises
    ------
    TrainingError
        A fold that was found is of another configuration, cohort, split or features.
    """
    left = []
    for fold in plan:
        files = context.files(fold)
        if not files.is_done:
            left.append(fold)
            continue
        check_digests(files.predictions, Predictions.digests(files.predictions), context.digests)
        remove(files.resume)  # of a training that ended between the two
        progress.fold(fold, "found")
    return left


def train_fold(context: RunContext, fold: FoldId, on_epoch: OnEpoch) -> Outcome:
    """Train a fold with `train.threads` threads; a failure is an outcome, and on the disk.

    Raises
    ------
    KfoldHsError
        What other folds would meet as well: `StorageError`, `WeightsError`, `ConfigError`,
        `DeviceError`.
    """
    files, device, config = context.files(fold), context.device, context.config
    try:
        what = f"the fold {fold.name} of the run {context.paths.name}"
        with (
            threads(config.train.threads),
            exactness(config.train, device),
            lock(files.lock, what, LOCK_WAIT_S),
        ):
            if files.is_done:  # by a process whose answer was lost
                return Outcome("done")
            sweep(files.folder)
            tracking = partial(make_trackers, config, context.paths, fold)
            since = fit_fold(context.fold(fold), files, tracking, on_epoch)
    except TrainingError as error:
        return failed(context, fold, str(error), _of_loss(error))
    except KfoldHsError:
        raise
    except Exception as error:  # of one fold, as far as anybody knows
        if is_device_fault(error):
            raise DeviceError(
                f"{device} failed ({_first_line(error)}), and nothing more can be computed on "
                "it in this process. Whole epochs are kept: the same command goes on."
            ) from error
        if "deterministic implementation" in str(error):
            raise ConfigError(
                f"train.deterministic=true: {_first_line(error)}. Choose another backbone, or "
                "set train.deterministic=false."
            ) from error
        trace = {"trace": traceback.format_exc()}
        return failed(context, fold, _words(error, device), trace, is_memory_full(error))
    remove(files.fault)
    return Outcome("done", "" if since is None else f"over-fitting from epoch {since + 1} on")


def failed(
    context: RunContext,
    fold: FoldId,
    text: str,
    more: Mapping[str, Any],
    memory_full: bool = False,
) -> Outcome:
    """A fold that failed; failed.json says so.

    It holds repeat, seed, fold, text; epoch and step from 0, null where the loss was not the
    cause, and the cause in words; the trace of an error that nobody foresaw.
    """
    record: dict[str, Any] = {"epoch": None, "step": None, "cause": text, "text": text}
    write_json(context.files(fold).fault, {**fold._asdict(), **record, **more})
    return Outcome("failed", text, memory_full)


def check_outcomes(outcomes: Sequence[Outcome], n_folds: int) -> None:
    """Tell what failed, when all folds have had their turn.

    Raises
    ------
    UnfinishedError
        Some failed; `MemoryFullError` where each of them did for want of memory.
    """
    faults = [outcome for outcome in outcomes if outcome.state == "failed"]
    if faults:
        kind = MemoryFullError if all(each.memory_full for each in faults) else UnfinishedError
        raise kind(
            f"{len(faults)} of {n_folds} folds could not be trained; the others are kept. "
            + _each_once([each.text for each in faults])
        )


def _each_once(texts: Sequence[str], most: int = 3) -> str:
    """What folds ended by: each cause once, with the number of its folds; the commonest first."""
    of_fold = re.compile(r"fold \d+: ")
    causes = Counter(of_fold.sub("", text, count=1) for text in texts).most_common()
    first = {of_fold.sub("", text, count=1): text for text in reversed(texts)}
    texts = [first[c] if n == 1 else f"{c} (The same in {n} folds.)" for c, n in causes[:most]]
    rest = len(causes) - most
    return " ".join(texts) + (f" And {rest} other causes, in failed.json." if rest > 0 else "")


def _of_loss(error: TrainingError) -> dict[str, Any]:
    if isinstance(error, DivergedError):
        return {"epoch": error.epoch, "step": error.step, "cause": error.cause}
    return {}


def is_memory_full(error: BaseException) -> bool:
    """Whether there was no room, on a GPU or beside the CPU; torch's CPU has no type for it."""
    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return full or "can't allocate memory" in str(error)


def is_device_fault(error: BaseException) -> bool:
    """Whether a GPU or its libraries failed: whatever is computed there next fails as well."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _OF_A_DEVICE)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")


def _words(error: Exception, device: torch.device) -> str:
    text = _first_line(error)
    if is_memory_full(error):
        return f"The memory of {device} is full ({text}). Use fewer --jobs, or a smaller batch."
    return f"{text}. This is not an error that kfold-hs expects: failed.json has the trace."
