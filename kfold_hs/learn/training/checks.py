"""What a configuration alone tells: checked before recordings are read, which can take minutes."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from kfold_hs.cohort.build import tasks_of
from kfold_hs.config.data import COLUMN
from kfold_hs.config.registry import calling
from kfold_hs.config.schema import Config, ModelConfig
from kfold_hs.errors import CohortError, ConfigError, SplitError, unknown_name
from kfold_hs.learn.data.augment import extra
from kfold_hs.learn.data.noise import noise_bank
from kfold_hs.learn.features.transform import transform_of
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.heads import check_heads
from kfold_hs.learn.models.network import check_backbone, check_network, try_weights
from kfold_hs.learn.models.pretrained import check_weights
from kfold_hs.learn.tracking.trackers import check_trackers


def check_configs(configs: Iterable[Config]) -> None:
    """Check several, each thing that two of them share once; as `check_config`."""
    seen: set[str] = set()
    for config in configs:
        if config.digest not in seen:
            check_config(config)
        seen.add(config.digest)


def check_config(config: Config) -> None:
    """Refuse what is known to fail without a look at the recordings.

    Raises
    ------
    ConfigError
        A backbone that timm does not have, or that takes other crops; sampling by, or a weight
        for, a task that is not there; a tracker that is not installed; a folder without noise.
    SplitError, CohortError
        split.file or data.aliases is not there.
    WeightsError
        Weights whose file or package is not there.
    """
    _check_paths(config)
    check_training(config)


def check_training(config: Config) -> None:
    """The same of the training alone, wherever the recordings will be; raises alike."""
    tasks = tasks_of(config.data.tasks)
    if isinstance(config.model, ModelConfig):
        check_backbone(config.model)
    check_weights(config.model)
    check_network(config)
    check_heads(config.model.heads, tasks)
    check_trackers(config.track)
    TaskLosses(config.loss, tasks, {task.name: torch.ones(1, task.n_classes) for task in tasks})
    known = ["shuffle", "joint", "patient", *config.data.tasks]
    if config.train.sampling not in known:
        raise ConfigError(unknown_name("train.sampling", config.train.sampling, known))
    noise_bank(config.augment, config.features)


def try_parts(*configs: Config) -> None:
    """Do once what every fold would fail at: weights are loaded, what plug-ins add is called.

    Raises
    ------
    WeightsError
        The weights cannot be had, or do not fit the backbone.
    ConfigError
        A loss, an augmentation or features of a plug-in fail; torch finds no compiler.
    """
    for config in configs:
        try_weights(config.model)
        _try_own(config)


def _try_own(config: Config) -> None:
    if config.train.backend == "compile" and config.device_kind == "cpu":
        _check_compiler()
    rng, tasks = np.random.default_rng(0), tasks_of(config.data.tasks)
    features = config.features
    if features.plugin:
        rate = features.sample_rate_hz
        noise = 0.1 * rng.standard_normal(5 * max(rate, features.least_samples)).astype(np.float32)
        with calling(f"features={features.kind}"):
            transform_of(features).measure(noise, rate)
    if config.augment.extra:
        crop = torch.zeros(4, 1, features.n_mels, config.train.crop_frames)
        with calling("augment.extra"):
            extra(crop, config.augment, rng)
    if config.loss.plugin:
        targets = {t.name: torch.eye(t.n_classes).repeat(2, 1) for t in tasks}
        logits = {name: torch.zeros_like(each) for name, each in targets.items()}
        with calling(f"loss={config.loss.kind}"):
            TaskLosses(config.loss, tasks, targets)(logits, targets)


def _check_compiler() -> None:
    """Refuse to compile on the CPU where there is no C++ compiler."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX", usual)
    if shutil.which(shlex.split(name)[0]) is None:
        raise ConfigError(
            f"train.backend=compile takes a C++ compiler on the CPU, and there is no {name} here: "
            "install one, name one in CXX, or set train.backend=eager."
        )


def _check_paths(config: Config) -> None:
    """What is read after the recordings; where they are is told at once by reading them."""
    file, aliases = config.split.file, config.data.aliases
    if file is not None and not str(file).startswith(COLUMN) and not file.exists():
        raise SplitError(f"split.file={file} does not exist (from {Path.cwd()}).")
    if aliases is not None and not aliases.exists():
        raise CohortError(f"data.aliases={aliases} does not exist (from {Path.cwd()}).")
