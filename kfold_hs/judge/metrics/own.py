"""Metrics of plug-ins: a function of one weighting of the patients, made one of many."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from kfold_hs.errors import ConfigError
from kfold_hs.judge.metrics.scores import METRICS, Metric, MetricFunction

_plugin_of: dict[str, str] = {}


def add_metric(function: Callable[..., float], plugin: str, **about: Any) -> None:
    """Put a user's function into `METRICS`.

    Parameters
    ----------
    function : callable
        (y, p[, weights]) or (y_true, y_prob, positive[, weights]) -> float.
    plugin : str
        Its module.
    **about
        As `Metric`; without `gradient`, so that the jackknife stands in.

    Raises
    ------
    ConfigError
        The name is taken, or the bounds do not go up.
    """
    name, (low, high) = about["name"], about["bounds"]
    if name in METRICS and _plugin_of.get(name) != plugin:
        raise ConfigError(
            f"the plug-in {plugin} adds the metric {name!r}, which there is already: give it "
            "another name."
        )
    if not low < high:
        raise ConfigError(f"the metric {name!r} has the bounds {low:g} and {high:g}: they go up.")
    _plugin_of[name] = plugin
    METRICS[name] = Metric(
        function=_of_many(function, name, (low, high)),
        **{**about, "bounds": (float(low), float(high))},
    )


def _of_many(
    function: Callable[..., float], name: str, bounds: tuple[float, float]
) -> MetricFunction:
    parameters = inspect.signature(function).parameters
    is_binary, takes_weights = "positive" not in parameters, "weights" in parameters

    def once(y_true: np.ndarray, y_prob: np.ndarray, positive: int, row: np.ndarray) -> float:
        rows = np.flatnonzero(row)
        if not takes_weights:
            rows = np.repeat(rows, row[rows].astype(int))
        known = {"weights": row[rows]} if takes_weights else {}
        if is_binary:
            y = (y_true[rows] == positive).astype(int)
            value = float(function(y, y_prob[rows, positive], **known))
        else:
            value = float(function(y_true[rows], y_prob[rows], positive, **known))
        if value < bounds[0] - 1e-9 or value > bounds[1] + 1e-9:
            raise ConfigError(
                f"the metric {name!r} gives {value:g}, outside its bounds {bounds[0]:g} to "
                f"{bounds[1]:g}: declare others, @register.metric({name!r}, bounds=(LOW, HIGH))."
            )
        return value

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        return np.array([once(y_true, y_prob, positive, row) for row in weights])

    return metric
