"""Contract tests for plug-ins: what a network must keep, tried on simulated people.

>>> from kfold_hs.testing import check_model
>>> check_model(MyNet)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kfold_hs.config import plugins
from kfold_hs.errors import BundleError, ConfigError, KfoldHsError
from kfold_hs.register import named_model

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config
    from kfold_hs.orchestrator.context import RunContext

_TINY = (
    "data=synthetic", "data.n_patients=30", "split.n_folds=2", "train.epochs=2",
    "train.batch_size=8", "predict.batch_size=8", "augment=none", "judge.gallery.patients=0",
    "track=[]", "train.threads=1",
)  # fmt: skip


class ContractError(KfoldHsError):
    """A plug-in does not do what all of its kind must."""


@dataclass(frozen=True)
class Checked:
    """What `check_model` found.

    Parameters
    ----------
    name : str
        Of the choice ``model=NAME``.
    n_parameters : int
        Number of parameters that are trained.
    export : str
        "ONNX", or why it cannot be exported.
    """

    name: str
    n_parameters: int
    export: str


def check_model(model: Callable[..., Any] | str, **settings: Any) -> Checked:
    """Try whether a network keeps the contract of `kfold_hs.register.model`.

    It is made; gives what it must; gives the same bits for a person alone and among others; gives
    the same bits when a training is interrupted and resumed; and is exported, or says why not. It
    takes some seconds: two folds of 30 simulated people are trained three times.

    Parameters
    ----------
    model : class, function or str
        What was added by `register.model`, or its name; a class that was not added yet is, under
        its own name in small letters.
    **settings
        Settings of the model (`width=16`), or with two underscores any other
        (`train__crop_frames=6000`).

    Raises
    ------
    ContractError
        With the first thing that is wrong; also if it cannot be made, or gives something else.
    ConfigError
        A setting does not fit, or it is no class.
    """
    from kfold_hs.config.compose import compose

    name = model if isinstance(model, str) else named_model(model)
    words = [*_TINY, f"model={name}", *_of_waveform(name)]
    words += [f"{k.replace('__', '.') if '__' in k else f'model.{k}'}={v}" for k, v in
              settings.items()]  # fmt: skip
    config = compose(words)
    with tempfile.TemporaryDirectory() as folder:
        try:
            context = _context(config, Path(folder))
        except ConfigError as error:  # it is made and asked once before anything else
            raise ContractError(str(error)) from error
        n_parameters = _check_alone(context)
        _check_resumed(config, Path(folder))
        return Checked(name, n_parameters, _export(context))


def _of_waveform(name: str) -> list[str]:
    row = plugins.REGISTRIES["model"].get(name)
    if row is not None and getattr(row.settings, "inputs", "") == "waveform":
        return ["features=waveform", "train.crop_frames=2000"]
    return ["train.crop_frames=64"]


def _context(config: Config, root: Path) -> RunContext:
    import torch

    from kfold_hs.files.paths import RunPaths
    from kfold_hs.orchestrator.context import RunContext
    from kfold_hs.orchestrator.progress import NullProgress
    from kfold_hs.workflows.inputs import read_inputs

    inputs = read_inputs(config, NullProgress())
    paths, device = RunPaths("contract", root), torch.device("cpu")
    return RunContext.prepare(config, inputs, paths, device, NullProgress())


def _check_alone(context: RunContext) -> int:
    """Whether a recording is told the same alone and among others; the number of parameters."""
    from kfold_hs.learn.device import threads
    from kfold_hs.learn.models.network import untrained_model
    from kfold_hs.learn.prediction.crops import Predictor

    config, tasks = context.config, context.cohort.tasks
    assert context.bank is not None
    model = untrained_model(config, tasks, 0)
    predictor = Predictor(model, context.bank, config)
    rows = np.arange(min(12, context.cohort.n_recordings))
    with threads(config.train.threads):
        together, _, _ = predictor.of_recordings(rows, tasks)
        again, _, _ = predictor.of_recordings(rows, tasks)
        alone = [predictor.of_recordings(rows[k : k + 1], tasks)[0] for k in (0, len(rows) // 2)]
    for task in tasks:
        if not np.array_equal(together[task.name], again[task.name]):
            raise ContractError(
                f"model={config.model.kind} gives other numbers for the same recordings when it is "
                "asked twice: in eval mode nothing may be drawn or counted."
            )
        for k, each in zip((0, len(rows) // 2), alone, strict=True):
            if not np.array_equal(together[task.name][k : k + 1], each[task.name]):
                gap = float(np.abs(together[task.name][k] - each[task.name][0]).max())
                raise ContractError(
                    f"model={config.model.kind} gives a recording other numbers alone than among "
                    f"others (they differ by up to {gap:.2g}): in eval mode the output for an "
                    "example must not depend on the rest of its batch."
                )
    return sum(each.numel() for each in model.parameters() if each.requires_grad)


def _check_resumed(config: Config, folder: Path) -> None:
    """Whether a training that is interrupted and resumed gives the bits of one in one go."""
    from kfold_hs.orchestrator.progress import NullProgress
    from kfold_hs.predictions.table import Predictions
    from kfold_hs.workflows.cross_validation import run
    from kfold_hs.workflows.options import RunOptions

    class Interrupts(NullProgress):
        def epoch(self, fold: Any, row: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    tables = []
    for name in ("whole", "interrupted"):
        options = RunOptions(name=name, root=folder, device="cpu")
        if name == "interrupted":
            with contextlib.suppress(KeyboardInterrupt):
                run(config, Interrupts(), options)
        tables.append(Predictions.read(run(config, NullProgress(), options).paths.predictions))
    whole, interrupted = (each.table for each in tables)
    if not whole.equals(interrupted):
        raise ContractError(
            f"model={config.model.kind} gives other numbers when its training is interrupted and "
            "resumed: all that it learns must be in its state_dict (nn.Parameter, "
            "register_buffer), and it must draw from torch's generator alone."
        )


def _export(context: RunContext) -> str:
    """Whether a graph can be made of it."""
    import torch

    from kfold_hs.bundle.graph import Graph, check_graph
    from kfold_hs.learn.models.network import untrained_model

    config, tasks = context.config, context.cohort.tasks
    try:
        check_graph(config, Path("it"))
    except BundleError as error:
        return str(error)
    graph = Graph(config, tasks, [untrained_model(config, tasks, 0)]).eval()
    features: Any = config.features
    hop_samples = round(features.frame_s * features.sample_rate_hz)
    example = torch.randn(3 * config.train.crop_frames * hop_samples)
    try:
        with torch.no_grad():
            torch.export.export(graph, (example,), dynamic_shapes={"samples": {0: torch.export.Dim(
                "n_samples", min=features.least_samples)}})  # fmt: skip
    except Exception as error:  # of torch's exporter, whatever it is
        return f"torch.export cannot: {str(error).strip().splitlines()[0][:200]}"
    return "ONNX"
