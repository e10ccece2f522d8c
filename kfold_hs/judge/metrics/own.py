"""Metrics of plug-ins: a function of one weighting of the patients, made one of many."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from kfold_hs.config.registry import calling
from kfold_hs.errors import ConfigError
from kfold_hs.judge.metrics.scores import METRICS, Metric, MetricFunction

_named: list[frozenset[str]] = []
_EXAMPLE = np.array([0, 1, 0, 1, 1, 0, 0, 1])
_Function = TypeVar("_Function", bound=Callable[..., Any])


def is_used(metric: Metric) -> bool:
    """Whether what is judged now has the metric: the package's, or of a plug-in that it names."""
    named = _named[-1] if _named else frozenset()
    return not metric.plugin or metric.plugin == "__main__" or any(
        metric.plugin == each or metric.plugin.startswith(f"{each}.") for each in named
    )  # fmt: skip


@contextmanager
def using(names: Iterable[str]) -> Iterator[None]:
    """In here the metrics of these plug-ins count, and of no others."""
    _named.append(frozenset(names))
    try:
        yield
    finally:
        _named.pop()


def judged_with(plugins_of: Callable[[Any], Iterable[str]]) -> Callable[[_Function], _Function]:
    """The same function, `using` the plug-ins that its first argument names."""

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def inside(first: Any, *rest: Any, **named: Any) -> Any:
            with using(plugins_of(first)):
                return function(first, *rest, **named)

        return inside  # type: ignore[return-value]

    return decorate


def try_metrics(names: Iterable[str]) -> None:
    """Ask each metric of these plug-ins once, of eight made-up people, before hours of training.

    Raises
    ------
    ConfigError
        It fails, or gives something else than a number.
    """
    probability = np.linspace(0.1, 0.8, len(_EXAMPLE))
    y_prob = np.stack([1 - probability, probability], axis=1)
    with using(names):
        for metric in METRICS.values():
            if metric.plugin and is_used(metric):
                metric(_EXAMPLE, y_prob, 1)


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
    if name in METRICS and METRICS[name].plugin != plugin:
        raise ConfigError(
            f"the plug-in {plugin} adds the metric {name!r}, which there is already: give it "
            "another name."
        )
    if about["label"] in {e.label for e in METRICS.values() if e.name != name}:
        raise ConfigError(
            f"the plug-in {plugin} calls the metric {name!r} {about['label']!r} on pages, as "
            "another is called already: give it another label."
        )
    if not low < high:
        raise ConfigError(f"the metric {name!r} has the bounds {low:g} and {high:g}: they go up.")
    METRICS[name] = Metric(
        function=_of_many(function, name, (low, high)),
        plugin=plugin,
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
        with calling(f"the metric {name!r}"):
            if is_binary:
                y = (y_true[rows] == positive).astype(int)
                found = function(y, y_prob[rows, positive], **known)
            else:
                found = function(y_true[rows], y_prob[rows], positive, **known)
        try:
            value = float(found)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"the metric {name!r} gave {found!r:.80}: a number is needed, NaN where it is "
                "undefined."
            ) from error
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
