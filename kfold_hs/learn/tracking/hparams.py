"""TensorBoard's HParams dashboard: a row for what was tried, with its settings and main metrics.

A session is a folder of events with settings and scalars; sessions of one group are one row, their
metrics averaged. An experiment says which columns there are: settings that differ come first, and
metrics in the order that is given. Without one TensorBoard finds out by itself, and sorts the
metrics by their names.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import summary as summaries

from kfold_hs.learn.tracking.event_file import EventFile

Values = Mapping[str, float | str | bool]
"""Settings, as `trackers.flat` gives them."""


@dataclass(frozen=True)
class Session:
    """A row of the dashboard, or a part of one.

    Parameters
    ----------
    group : str
        Name of the row: sessions of a group are averaged.
    settings : mapping
    metrics : mapping of float
    """

    group: str
    settings: Values
    metrics: Mapping[str, float]

    def write(self, folder: Path) -> None:
        """Write it as a folder of its own, in place of what is there.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        shutil.rmtree(folder, ignore_errors=True)
        events = EventFile(folder)
        events.add(session_start(self.group, self.settings))
        for name, value in self.metrics.items():
            events.add(summaries.scalar(name, value))  # type: ignore[no-untyped-call]
        events.add(session_end())
        events.close()


def write_experiment(
    folder: Path, sessions: Sequence[Session], compared: Collection[str], metrics: Sequence[str]
) -> None:
    """Say which columns the sessions below a folder have.

    Parameters
    ----------
    compared : collection of str
        Settings that come first.
    metrics : sequence of str
        In their order.
    """
    names = sorted({name for each in sessions for name in each.settings})
    described = [
        _described(name, [s.settings[name] for s in sessions if name in s.settings], compared)
        for name in names
    ]
    content = api_pb2.Experiment(
        hparam_infos=described,
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name), display_name=name)
            for name in metrics
        ],
        time_created_secs=time.time(),
    )
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink(missing_ok=True)
    events = EventFile(folder)
    events.add(_summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=content)))
    events.close()


def session_start(group: str, settings: Values) -> Summary:
    """The beginning of a session, with its settings."""
    start = SessionStartInfo(group_name=group, start_time_secs=time.time())
    for key, value in settings.items():
        setattr(start.hparams[key], f"{_kind(value)}_value", value)
    return _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def session_end() -> Summary:
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _kind(value: float | str | bool) -> str:
    return {bool: "bool", str: "string"}.get(type(value), "number")


def _described(
    name: str, values: Sequence[float | str | bool], compared: Collection[str]
) -> api_pb2.HParamInfo:
    kinds = {
        "bool": api_pb2.DATA_TYPE_BOOL,
        "number": api_pb2.DATA_TYPE_FLOAT64,
        "string": api_pb2.DATA_TYPE_STRING,
    }
    found = {_kind(value) for value in values}
    kind = found.pop() if len(found) == 1 else "string"
    info = api_pb2.HParamInfo(name=name, type=kinds[kind], differs=name in compared)
    if kind == "number":
        numbers = [float(value) for value in values]
        info.domain_interval.min_value, info.domain_interval.max_value = min(numbers), max(numbers)
    else:
        seen: list[Any] = list(dict.fromkeys(values if kind == "bool" else map(str, values)))
        info.domain_discrete.extend(seen)
    return info


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    # As tensorboard's own hparams.summary does, which needs tensorflow for it.
    summary = Summary()
    about = metadata.create_summary_metadata(content)
    summary.value.add(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
    return summary
