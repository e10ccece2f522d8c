"""A cross-validation in MLflow: a run, and below it one for every fold model.

The process of the command writes all of it, from the rows that its folds report wherever they are
trained, and from their files. So folds at once, and nodes of a cluster, never meet at the store.

run         parameters: the settings; tags: digests; metrics: the headline and all main metrics,
            with the ends of their intervals; artifacts: report, summary, configuration, and the
            bundle once it is exported
fold model  loss, accuracies and rate by epoch (from 1)

Which runs are ours says a number that is kept in the run's folder: a repeated command goes on in
them and writes what they lack, so that nothing is there twice. What fails is told once, and ends
nothing: no result depends on a tracker.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.schema import Config
from kfold_hs.errors import DamagedFileError
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, RunPaths, write_json
from kfold_hs.judge.results.summary import Summary
from kfold_hs.learn.tracking.trackers import flat, scalars
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.workflows.main_metrics import main_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "kfold-hs"
_PLACES = {"root", "path", "aliases", "map"}
_ID, _PART, _WHOLE = "kfold_hs.id", "kfold_hs.part", "all folds"
_MOST_METRICS, _MOST_PARAMS, _LONGEST = 1000, 100, 500
"""Of one request, and characters of a parameter; MLflow takes 6000."""


@contextlib.contextmanager
def followed(
    config: Config, paths: RunPaths, digests: Mapping[str, str], progress: Progress
) -> Iterator[MlflowRun | None]:
    """The run in MLflow, where `track` asks for it: to be handed to the training as its progress.

    Its status says how the work within ended.
    """
    if "mlflow" not in config.track:
        yield None
        return
    run = MlflowRun(config, paths, digests, progress)
    run.begin()
    try:
        yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:  # Ctrl-C
        run.end("KILLED")
        raise
    run.end("FINISHED")


def attach_bundle(config: Config, paths: RunPaths, folder: Path, progress: Progress) -> None:
    """Put a bundle beside the other artifacts of its run, where that was tracked."""
    if "mlflow" not in config.track or not _id_file(paths).exists():
        return
    run = MlflowRun(config, paths, {}, progress)
    run.begin(makes=False)
    run.attach(folder)
    run.end("FINISHED")  # as every run is that can be exported


@dataclass
class _FoldRun:
    """Of a fold model: its number in MLflow, and the epochs that are there, from 1."""

    id: str
    epochs: set[int]


@dataclass(eq=False)
class MlflowRun:
    """A cross-validation's run; what it is told as a `Progress` it hands on."""

    config: Config
    paths: RunPaths
    digests: Mapping[str, str]
    inner: Progress
    _client: MlflowClient | None = None
    _experiment: str = ""
    _run: str = ""
    _folds: dict[FoldId, _FoldRun] = field(default_factory=dict)

    def stage(self, name: str) -> None:
        self.inner.stage(name)

    def step(self, done: int, total: int) -> None:
        self.inner.step(done, total)

    def training(self, n_folds: int, n_epochs: int) -> None:
        self.inner.training(n_folds, n_epochs)

    def note(self, text: str) -> None:
        self.inner.note(text)

    def fold(self, fold: FoldId, state: str, note: str = "") -> None:
        self.inner.fold(fold, state, note)
        if state in {"done", "found"}:
            self._try(lambda: self._close_fold(fold, "FINISHED"))
        elif state == "failed":
            self._try(lambda: self._close_fold(fold, "FAILED"))

    def epoch(self, fold: FoldId, row: Mapping[str, float]) -> None:
        self.inner.epoch(fold, row)
        self._try(lambda: self._log_epochs(fold, [row]))

    def begin(self, makes: bool = True) -> None:
        """Connect; find the run, or make it where it may be made."""
        self._try(lambda: self._begin(makes), first=True)

    def judged(self, summary: Summary) -> None:
        """What the run came to: metrics and artifacts."""
        self._try(lambda: self._log_summary(summary))

    def attach(self, folder: Path) -> None:
        """A bundle."""
        self._try(lambda: self._required.log_artifacts(self._run, str(folder), folder.name))

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""

        def close() -> None:
            for each in self._folds.values():
                if status != "FINISHED" and self._status(each.id) == "RUNNING":
                    self._required.set_terminated(each.id, status)
            self._required.set_terminated(self._run, status)

        self._try(close)

    def _try(self, work: Callable[[], object], first: bool = False) -> None:
        """Do it, unless something has failed already; what fails is told, and nothing follows."""
        if self._client is None and not first:
            return
        try:
            with _patience():
                work()
        except Exception as error:  # of MLflow, its store, a server, the network
            self._client = None
            text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            self.inner.note(
                f"MLflow is left out from here on: {text[:300]}. No result depends on it; the same "
                "command writes what is missing."
            )

    @property
    def _required(self) -> MlflowClient:
        assert self._client is not None
        return self._client

    def _begin(self, makes: bool) -> None:
        from mlflow.entities import Param

        client, is_local = _connect(self.paths.root)
        self._experiment = _experiment_of(client, self.paths.root if is_local else None)
        self._client = client
        if (found := self._find(_WHOLE)) is None:
            if not makes:
                raise LookupError(
                    f"its store has no run {self.paths.name} (MLFLOW_TRACKING_URI names the store)"
                )
            found = client.create_run(
                self._experiment, run_name=self.paths.name, tags=self._tags(_WHOLE)
            )
        else:
            client.update_run(found.info.run_id, status="RUNNING")
        self._run, known = found.info.run_id, set(found.data.params)
        values = [Param(_key(k), str(v)[:_LONGEST]) for k, v in self._settings().items()]
        values = [each for each in values if each.key not in known]
        for few in _chunks(values, _MOST_PARAMS):
            client.log_batch(self._run, params=few)

    def _own_id(self) -> str:
        """The number in the run's folder; made before the run, so that a kill leaves no other."""
        path = _id_file(self.paths)
        with contextlib.suppress(DamagedFileError, KeyError):
            if path.exists():
                return str(stored.read_json(path, "the number of the run in MLflow")["id"])
        made = uuid.uuid4().hex
        write_json(path, {"id": made})
        return made

    def _tags(self, part: str) -> dict[str, str]:
        from kfold_hs import __version__

        return {
            _ID: self._own_id(),
            _PART: part,
            "kfold_hs.run": self.paths.name,
            "kfold_hs.version": __version__,
            "mlflow.source.name": "kfold-hs",
            **{f"kfold_hs.digest.{name}": digest for name, digest in self.digests.items()},
        }

    def _settings(self) -> dict[str, Any]:
        values = self.config.as_dict()
        data = {k: v for k, v in values["data"].items() if k not in _PLACES}
        tasks = json.dumps(data.pop("tasks"))
        return {**flat(values), **flat(data, "data."), "data.tasks": tasks}

    def _find(self, part: str) -> Any:
        """What an earlier command made of the run or of a fold model; None: nothing."""
        where = f"tags.`{_ID}` = '{self._own_id()}' and tags.`{_PART}` = '{part}'"
        return next(iter(self._required.search_runs([self._experiment], where)), None)

    def _status(self, run: str) -> str:
        return str(self._required.get_run(run).info.status)

    def _fold_run(self, fold: FoldId) -> _FoldRun:
        if fold in self._folds:
            return self._folds[fold]
        client = self._required
        if (found := self._find(fold.name)) is None:
            tags = {**self._tags(fold.name), "mlflow.parentRunId": self._run}
            name = f"{self.paths.name} {fold.name}"
            found = client.create_run(self._experiment, run_name=name, tags=tags)
            for key, value in fold._asdict().items():
                client.log_param(found.info.run_id, key, value)
        history = client.get_metric_history(found.info.run_id, "Loss/train")
        epochs = {each.step for each in history}
        self._folds[fold] = _FoldRun(found.info.run_id, epochs)
        return self._folds[fold]

    def _log_epochs(self, fold: FoldId, rows: Iterable[Mapping[str, float]]) -> None:
        """Those that are not there; an epoch that was trained again is the same."""
        from mlflow.entities import Metric

        run, now = self._fold_run(fold), _now()
        new = [(int(row["epoch"]) + 1, row) for row in rows]
        metrics = [
            Metric(_key(name), float(value), now, step)
            for step, row in new
            if step not in run.epochs
            for name, value in scalars(row).items()
        ]
        for few in _chunks(metrics, _MOST_METRICS):
            self._required.log_batch(run.id, metrics=few)
        run.epochs |= {step for step, _ in new}

    def _close_fold(self, fold: FoldId, status: str) -> None:
        """A fold ended: what MLflow lacks of it comes from its history."""
        run, files = self._fold_run(fold), self.paths.fold(fold)
        if status == "FINISHED":
            history = stored.read_history(files.history, of_fold=True)
            rows = [{str(k): v for k, v in row.items()} for row in history.to_dict("records")]
            self._log_epochs(fold, rows)
        if self._status(run.id) != status:
            self._required.set_terminated(run.id, status)

    def _log_summary(self, summary: Summary) -> None:
        from mlflow.entities import Metric, RunTag

        client, now = self._required, _now()
        known = client.get_run(self._run).data.metrics
        metrics = [
            Metric(name, value, now, 0)
            for name, value in ((_key(n), v) for n, v in main_metrics(summary).items())
            if known.get(name) != value
        ]
        for few in _chunks(metrics, _MOST_METRICS):
            client.log_batch(self._run, metrics=few)
        tags = [RunTag("mlflow.note.content", summary.headline.sentence)]
        client.log_batch(self._run, tags=tags)
        for path in (self.paths.report, self.paths.summary, self.paths.config):
            client.log_artifact(self._run, str(path))


def _id_file(paths: RunPaths) -> Path:
    return paths.report_folder / "mlflow.json"


def _connect(root: Path) -> tuple[MlflowClient, bool]:
    """A client of the store that the environment or the program names; else of one beside reports/.

    Returns
    -------
    client : MlflowClient
    is_ours : bool
        The store is the one beside `reports/`.
    """
    import mlflow

    is_ours = not mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
    ours = f"sqlite:///{(root / 'mlflow.db').resolve().as_posix()}"
    return mlflow.MlflowClient(ours if is_ours else mlflow.get_tracking_uri()), is_ours


def _experiment_of(client: MlflowClient, root: Path | None) -> str:
    """Number of the experiment; by default the one named kfold-hs, made where it is not there."""
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return number
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    if (found := client.get_experiment_by_name(name)) is None:
        place = None if root is None else (root / "mlruns").resolve().as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except Exception:  # made by another command in the meantime, or not to be made at all
            if (found := client.get_experiment_by_name(name)) is None:
                raise
    return str(found.experiment_id)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """MLflow's own settings while it works, where the user has set none.

    It would wait minutes for a server that is not there, report its use to its makers, and tell of
    every table of a new store.
    """
    mild = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    ours = {name: value for name, value in mild.items() if name not in os.environ}
    if "mlflow" in sys.modules:  # its logging is the program's
        ours.pop("MLFLOW_LOGGING_LEVEL", None)
    os.environ.update(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # between MLflow and what it stands on
            yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _key(name: str) -> str:
    """A name that MLflow takes: letters, digits and some signs."""
    return re.sub(r"[^\w\-./ ]", "_", name)[:250]


def _now() -> int:
    return int(time.time() * 1000)


def _chunks(items: list[Any], most: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
