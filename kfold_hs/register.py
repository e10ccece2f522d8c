"""What a plug-in adds, each by one decorator: `@register.model("mynet")` and its like.

A plug-in is a module that is named by `plugins=[my_module]`. The parameters of what it adds, beside
those that the package gives, become settings: their annotations are their types and bounds, and
their defaults are defaults. So ``@register.model("mynet") class MyNet(nn.Module)`` with
``__init__(self, in_channels, n_classes, width: int = 32)`` is chosen by ``model=mynet
model.width=64``.

========================  ===========================================  =========================
decorator                 what it stands on                            chosen by
========================  ===========================================  =========================
`model`                   (in_channels, n_classes, ...) -> Module      model=NAME
`features`                (samples, rate_hz, ...) -> (bands, frames)   features=NAME
`encoder`                 (samples, rate_hz, ...) -> embedding         features=NAME model=linear
`reader`                  (...) -> `Cohort` or a table                 data=NAME
`metric`                  (y, p, weights) -> float                     it is in every report
`schedule`                (n_steps, ...) -> (step, losses) -> factor   sched=NAME
`loss`                    (log_p, ...) -> costs                        loss=NAME
`augmentation`            (x, rng, ...) -> x                           augment.extra=[NAME]
========================  ===========================================  =========================
"""

from __future__ import annotations

import copy
import inspect
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import pydantic

from kfold_hs.config import plugins
from kfold_hs.config.base import Choice
from kfold_hs.config.data import DataSettings, TaskConfig
from kfold_hs.config.features import OwnFeatures
from kfold_hs.config.losses import LossConfig
from kfold_hs.config.models import BackboneConfig, WholeNetworkConfig
from kfold_hs.config.registry import Row, calling, own, settings_from
from kfold_hs.errors import ConfigError

__all__ = [
    "augmentation", "encoder", "features", "loss", "metric", "model", "reader", "schedule"
]  # fmt: skip

_F = TypeVar("_F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def model(
    name: str, inputs: Literal["features", "waveform"] = "features"
) -> Callable[[_F], _F]:  # fmt: skip
    """Add a network: a class of `torch.nn.Module`, or a function that makes one.

    With a parameter `n_classes` it is a whole network: `forward` takes crops (n, in_channels,
    bands, frames) and gives logits, a dict from each task to a tensor (n, number of its classes).
    Without it, it is a backbone: `forward` gives an embedding (n, size), and the package adds
    dropout, hidden layer, heads, covariates, and attention over a patient's recordings.

    Parameters
    ----------
    name : str
        Of the choice ``model=NAME``.
    inputs : str
        "waveform": crops are (n, in_channels, samples), and `features` must be of one band, as
        ``features=waveform`` is.

    Notes
    -----
    It is called with those of `in_channels` (int) and `n_classes` (dict from task to int) that it
    has as parameters, and its settings. An example's output must not depend on the others of its
    batch, except while it is trained. `kfold_hs.testing.check_model` tries all this.
    """

    def decorate(factory: _F) -> _F:
        is_whole = "n_classes" in inspect.signature(factory).parameters
        base = WholeNetworkConfig if is_whole else BackboneConfig
        given = ("in_channels", "n_classes")

        def build(settings: Choice, **context: Any) -> Any:
            asked = inspect.signature(factory).parameters
            known = {key: value for key, value in context.items() if key in asked}
            return factory(**known, **own(settings, base))

        settings = _add("model", name, factory, base, given, build)
        settings.inputs = inputs
        return factory

    return decorate


def named_model(factory: Callable[..., Any]) -> str:
    """The name under which a network was added; it is now, if it was not, by its own in small
    letters.
    """
    if not (inspect.isclass(factory) or inspect.isfunction(factory)):
        raise ConfigError(
            f"model is an object of type {type(factory).__name__}: give the class itself, or a "
            "function that makes it. Each fold trains a new one."
        )
    if factory.__module__ in ("builtins", "torch.nn") or factory.__module__.startswith("torch.nn."):
        raise ConfigError(
            f"model={factory.__qualname__} is not yours: write a class of torch.nn.Module whose "
            "__init__ takes in_channels."
        )
    if (name := plugins.name_of("model", factory)) is None:
        name = str(getattr(factory, "__name__", "")).lower()
        model(name)(factory)
    return name


def features(
    name: str, n_bands: int, hop_s: float, sample_rate_hz: int = 4000
) -> Callable[[_F], _F]:  # fmt: skip
    """Add features: a function (samples, rate_hz, ...) -> (bands, frames).

    They are computed once for each recording and cached; a changed source computes them anew.

    Parameters
    ----------
    name : str
        Of the choice ``features=NAME``.
    n_bands : int
        Rows of what it gives.
    hop_s : float
        Seconds from frame to frame.
    sample_rate_hz : int
        Default of ``features.sample_rate_hz``: recordings are resampled to it.

    Notes
    -----
    `samples` is (n_samples,) float32 in [-1, 1]. What it gives is kept in float16. As all features,
    it can be normalised (``features.normalise``), and its samples be cleaned
    (``features.band_pass_hz``, ``features.remove_spikes``). A class is made once, with its
    settings, and then called.
    """
    return _features(name, n_bands, hop_s, sample_rate_hz, lambda found: found)


def encoder(
    name: str, n_features: int, hop_s: float | None = None, sample_rate_hz: int = 4000
) -> Callable[[_F], _F]:  # fmt: skip
    """Add a frozen encoder: (samples, rate_hz, ...) -> embedding, on which heads are trained.

    Embeddings are computed once for each recording and cached like features. ``features=NAME
    model=linear augment=none`` trains a linear head a fold on them.

    Parameters
    ----------
    name : str
        Of the choice ``features=NAME``.
    n_features : int
        Width of an embedding.
    hop_s : float, optional
        Seconds from one embedding to the next, where it gives several, (n, n_features). None: it
        gives one of the whole recording, (n_features,).
    sample_rate_hz : int
        Default of ``features.sample_rate_hz``.
    """
    return _features(name, n_features, hop_s, sample_rate_hz, lambda found: found.T)


def reader(
    name: str, tasks: Mapping[str, Sequence[str]] | None = None
) -> Callable[[_F], _F]:  # fmt: skip
    """Add a reader of recordings and labels: a function of its settings.

    Parameters
    ----------
    name : str
        Of the choice ``data=NAME``.
    tasks : mapping, optional
        Each task and its classes, the positive one first; else ``data.tasks`` must be given.

    Notes
    -----
    It gives a `kfold_hs.Cohort`, or a data frame of one row a recording with the columns
    `recording` (path of the audio file), `patient_id`, one a task, and if there are any
    `person_id`, `site` and covariates. A parameter `tasks` is given them: name -> classes.
    """

    def decorate(function: _F) -> _F:
        takes_tasks = "tasks" in inspect.signature(function).parameters

        def build(settings: Any, on_progress: Any = None) -> Any:
            classes = {task: list(each.classes) for task, each in settings.tasks.items()}
            known = {"tasks": classes} if takes_tasks else {}
            with calling(f"data={name}"):
                return function(**known, **own(settings, DataSettings))

        base: type[Choice] = DataSettings
        if tasks is not None:
            made = {task: TaskConfig(classes=tuple(each)) for task, each in tasks.items()}
            base = _with_default(DataSettings, "tasks", made)
        _add("reader", name, function, base, ("tasks",), build)
        return function

    return decorate


def metric(
    name: str, label: str | None = None, bounds: tuple[float, float] = (0.0, 1.0),
    higher_is_better: bool = True, margin: float = 0.01,
) -> Callable[[_F], _F]:  # fmt: skip
    """Add a metric of a task: (y, p, weights) -> float, or (y_true, y_prob, positive, weights).

    Every report has it, with its interval, in every table. How much each person moves it is found
    by leaving each out in turn (jackknife), so that it may take seconds on thousands of people.

    Parameters
    ----------
    name : str
    label : str, optional
        What pages call it.
    bounds : (float, float)
        Lowest and highest value that there can be.
    higher_is_better : bool
    margin : float
        Half the width of the region of practical equivalence, in its own units.

    Notes
    -----
    `y` is (n,) 0 and 1 (the positive class), `p` (n,) the probability of the positive class;
    `y_true` (n,) the index of the class, `y_prob` (n, C). `weights` (n,) says how often each
    counts; without this parameter, rows that count twice are given twice. NaN: it is undefined.
    """

    def decorate(function: _F) -> _F:
        from kfold_hs.judge.metrics.own import add_metric

        _check_name(name)
        module = plugins.add("metric", name, function.__module__)
        add_metric(
            function,
            plugin=module,
            name=name,
            label=label or name.replace("_", " "),
            bounds=bounds,
            higher_is_better=higher_is_better,
            margin=margin,
        )
        return function

    return decorate


def schedule(name: str) -> Callable[[_F], _F]:
    """Add a schedule: (n_steps, ...) -> function (step, losses) -> multiplier of `optim.lr`.

    `step` counts optimizer steps from 0 to n_steps - 1; `losses` are the mean training losses of
    the epochs before. It is chosen by ``sched=NAME``.

    Parameters
    ----------
    name : str
        Of the choice ``sched=NAME``.
    """

    def decorate(function: _F) -> _F:
        def build(settings: Choice, n_steps: int) -> Any:
            with calling(f"sched={name}"):
                return function(n_steps, **own(settings, Choice))

        first = next(iter(inspect.signature(function).parameters), "")
        _add("schedule", name, function, Choice, (first,), build)
        return function

    return decorate


def loss(name: str) -> Callable[[_F], _F]:
    """Add a loss: (log_p, ...) -> costs, or (logits, targets, ...) -> loss of each example.

    It is chosen by ``loss=NAME``, and has the settings of all losses, such as label smoothing and
    class weights.

    Parameters
    ----------
    name : str
        Of the choice ``loss=NAME``.

    Notes
    -----
    `log_p` (n, C) are log-probabilities; the costs (n, C) say what each costs if its class is the
    true one. `logits` and `targets` are (n, C), and targets are probabilities, after smoothing and
    mixup; the losses are (n,) and are averaged with the weight of each one's classes.
    """

    def decorate(function: _F) -> _F:
        parameters = list(inspect.signature(function).parameters)
        is_cost = parameters[:1] == ["log_p"]
        given = ("log_p",) if is_cost else ("logits", "targets")
        if parameters[: len(given)] != list(given):
            raise ConfigError(
                f"the loss {name!r} has the parameters {', '.join(parameters)}: it begins with "
                "log_p, or with logits, targets."
            )

        def build(settings: Choice, *tensors: Any) -> Any:
            with calling(f"loss={name}"):
                return function(*tensors, **own(settings, LossConfig))

        made = _add("loss", name, function, LossConfig, given, build)
        made.is_cost = is_cost
        return function

    return decorate


def augmentation(name: str) -> Callable[[_F], _F]:
    """Add an augmentation: (x, rng, ...) -> x, of a batch of training crops.

    ``augment.extra=[NAME]`` puts it behind those of the package that change sound, and before
    masks and mixup; ``augment.extra={NAME:{setting:value}}`` with settings.

    Parameters
    ----------
    name : str
        Of the choice ``augment.extra=[NAME]``.

    Notes
    -----
    `x` is a tensor (n, 1, bands, frames) in the units of the features; `rng` a numpy Generator
    that depends on seed, repeat, fold and epoch alone.
    """

    def decorate(function: _F) -> _F:
        def build(x: Any, rng: np.random.Generator, settings: Choice) -> Any:
            with calling(f"the augmentation {name}"):
                return function(x, rng, **own(settings, Choice))

        first = tuple(inspect.signature(function).parameters)[:2]
        _add("augmentation", name, function, Choice, first, build)
        return function

    return decorate


def _features(
    name: str, n_bands: int, hop_s: float | None, sample_rate_hz: int,
    turned: Callable[[np.ndarray], np.ndarray],
) -> Callable[[_F], _F]:  # fmt: skip
    if n_bands < 1 or (hop_s is not None and not hop_s > 0):
        raise ConfigError(
            f"features {name!r}: n_bands={n_bands} must be 1 or more, and hop_s={hop_s} above 0"
        )

    making = threading.Lock()

    def decorate(function: _F) -> _F:
        made: dict[str, Any] = {}
        given: tuple[str, ...] = ()
        if not inspect.isclass(function):
            given = tuple(inspect.signature(function).parameters)[:2]

        def build(samples: np.ndarray, rate_hz: int, settings: Choice) -> np.ndarray:
            values = own(settings, OwnFeatures)
            with calling(f"features={name}"):
                if inspect.isclass(function):
                    with making:  # recordings are read by several threads
                        if repr(values) not in made:
                            made[repr(values)] = function(**values)
                    found = made[repr(values)](samples, rate_hz)
                else:
                    found = function(samples, rate_hz, **values)
                return turned(np.atleast_2d(np.asarray(found)))

        base = _with_default(OwnFeatures, "sample_rate_hz", sample_rate_hz)
        settings = _add("features", name, function, base, given, build)
        settings.n_mels, settings.hop_s = n_bands, hop_s
        return function

    return decorate


def _with_default(base: type[Choice], name: str, value: Any) -> Any:
    """The same settings, one of which has another default."""
    field = copy.copy(base.model_fields[name])
    field.default = value
    fields: dict[str, Any] = {name: (field.annotation, field)}
    return pydantic.create_model(base.__name__, __base__=base, **fields)


def _add(
    what: str, name: str, function: Any, base: type[Choice], given: tuple[str, ...]
    , build: Callable[..., Any],
) -> Any:  # fmt: skip
    _check_name(name)
    settings = settings_from(function, base, name, given)
    settings.plugin = plugins.add(what, name, function.__module__)
    build.__wrapped__ = function  # type: ignore[attr-defined]
    plugins.REGISTRIES[what].add(name, Row(settings, build, settings.plugin))
    return settings


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(str(name)):
        raise ConfigError(
            f"a plug-in's choice cannot be called {str(name)[:80]!r}: letters, digits and _, at "
            "most 40, a letter first. A decorator takes the name: @register.model('mynet')."
        )
