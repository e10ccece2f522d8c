"""HParams of a folder of events, read by TensorBoard's own backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


def read(folder: Path) -> tuple[Any, list[Any]]:
    """The experiment and its rows, as TensorBoard would answer its page."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = context.RequestContext()
    experiment = backend.experiment_from_metadata(
        request, "", True, backend.hparams_metadata(request, ""), None
    )
    asked = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN], slice_size=100,
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )  # fmt: skip
    handler = list_session_groups.Handler(request, backend, "", asked)
    return experiment, list(handler.run().session_groups)


def metrics_of(group: Any) -> dict[str, float]:
    return {each.name.tag: each.value for each in group.metric_values}
