"""Composition: a command line and `configs/` become one checked `Config`.

A command line is a list of overrides in Hydra's grammar: `model=lite0` chooses
`configs/model/lite0.yaml`, `sched=cosine` a row of a table, `optim.lr=1e-4` sets one value,
`optim.lr=1e-4,1e-3` is a sweep: one variant for each value. What a file leaves out has the default
that the settings' types declare. Whatever is wrong with a configuration is
reported at once, each fault with its key, its value, what is allowed and, for a name,
the nearest one that exists.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from kfold_hs.config import plugins
from kfold_hs.config.backbones import with_own_weights
from kfold_hs.config.data import DATA
from kfold_hs.config.features import FEATURES
from kfold_hs.config.former_keys import advice
from kfold_hs.config.keys import can_be, is_always, with_defaults, with_folds_of_column
from kfold_hs.config.losses import LOSSES
from kfold_hs.config.models import MODELS
from kfold_hs.config.overrides import MOST_VALUES, read, understood, values, with_places
from kfold_hs.config.registry import Registry
from kfold_hs.config.schedules import SCHEDULES
from kfold_hs.config.schema import MEAN_ACCURACY, Config
from kfold_hs.errors import ConfigError, listing, nearest, readable, shown, unknown_name
from kfold_hs.files import stored

TABLES: dict[str, Registry] = {
    "sched": SCHEDULES, "loss": LOSSES, "model": MODELS, "features": FEATURES, "data": DATA
}  # fmt: skip
"""Groups whose choices are rows of a table; a file of `configs/` may add one with other values."""
# A folder of `configs/` whose files are no choices of a group; see `kfold_hs.config.space`.
SPACES = "tune"
WHOLE = {"data.tasks", "loss.task_weights", "augment.extra", "plugins"}
"""Settings whose keys are names of the user's, or lists: one is given as a whole."""
NAMED = WHOLE | {"data.map"}
"""Settings whose keys are names of the user's; `data.map.NAME` may be given by itself, too."""


def config_folder() -> Path:
    """`configs/`: in the package where it is installed, beside it in a checkout.

    Raises
    ------
    ConfigError
        It is in neither place.
    """
    package = Path(__file__).parent.parent
    places = [package / "configs", package.parent / "configs"]
    for place in places:
        if (place / "config.yaml").is_file():
            return place
    raise ConfigError(
        f"the settings' files are missing: there is no config.yaml in {places[0]} or {places[1]}. "
        "Install kfold-hs again: pip install --force-reinstall --no-deps kfold-hs, or PATH of the "
        "checkout in its place."
    )


def groups() -> dict[str, list[str]]:
    """Every group, of `configs/` or with a table, and the names that can be chosen from it."""
    found = {
        group: {name for name in table if name != table.default} for group, table in TABLES.items()
    }
    for path in config_folder().glob("*/*.yaml"):
        if path.parent.name != SPACES:
            found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(found[group]) for group in sorted(found)}


def _files(group: str) -> set[str]:
    """Choices of a group that are files."""
    return {path.stem for path in (config_folder() / group).glob("*.yaml")}


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose and check one configuration.

    Parameters
    ----------
    overrides : sequence of str
        ``group=name`` or ``key=value`` in Hydra's grammar; no sweeps (see `expand`).

    Raises
    ------
    ConfigError
        With every fault found: the key, the value, what is allowed, the nearest name.
    """
    try:
        load_plugins(overrides)
        return _compose(tuple(overrides))
    except ConfigError as error:
        raise with_places(error, overrides) from error


def load_plugins(overrides: Sequence[str]) -> None:
    """Import what `plugins=[...]` names, whose choices the other words may take.

    Raises
    ------
    ConfigError
        A plug-in cannot be imported.
    """
    for word in overrides:
        if word.startswith("plugins="):
            (override,) = read([word])
            named = [] if override.is_sweep_override() else override.value()
            for name in named if isinstance(named, list) else [named]:
                plugins.load(str(name))


@plugins.cached
def _compose(overrides: tuple[str, ...]) -> Config:
    """A search asks for the variant of each of its points again and again; Hydra is slow."""
    parsed = read(overrides)
    if sweeps := [shown(o.input_line) for o in parsed if o.is_sweep_override()]:
        raise ConfigError(
            f"{listing(sweeps)} names several values, which makes several variants, and this "
            "command takes one. Give one value."
        )
    _check_names(parsed)
    chosen = tuple(o.input_line or "" for o in parsed if o.key_or_group in groups())
    suspects = [word for word in overrides if "${" in word] or overrides
    with understood(f"compose {listing(map(shown, suspects))}"):
        composed = copy.deepcopy(_chosen(chosen))
        with open_dict(composed):
            for override in parsed:
                if override.key_or_group not in groups():
                    _apply(override, composed)
        values = _plain(composed)
        given = {override.key_or_group for override in parsed}
        _leave_out_others(values, given, str(_chosen(chosen)["headline"]))
        if "split.n_folds" not in given:
            values["split"] = with_folds_of_column(values["split"])
        if "model.weights" not in given:
            values["model"] = with_own_weights(values["model"])
        return _validated(values)


def _leave_out_others(values: dict[str, Any], given: set[str], headline: str) -> None:
    """Leave out a headline of tasks that are not there, and a target of another headline.

    Parameters
    ----------
    values : dict
        Of the whole configuration; changed.
    given : set of str
        Keys that the user set, who is obeyed.
    headline : str
        That of the files of `configs/`, whose target is of it.
    """
    if not isinstance(values["headline"], str):
        return  # null or a number, which the check of all values refuses
    task = values["headline"].rpartition(".")[0]
    if "headline" not in given and task not in ("mean", *values["data"]["tasks"]):
        values["headline"] = MEAN_ACCURACY
    mine, theirs = (each.removeprefix("mean.") for each in (values["headline"], headline))
    if "target" not in given and mine != theirs:
        values["target"] = None


def left_out_target(config: Config) -> str | None:
    """What to say where a recipe's target is not judged, since the headline is another score."""
    path = config_folder() / "recipe" / f"{config.recipe}.yaml"
    if config.target is not None or config.headline == MEAN_ACCURACY or not path.is_file():
        return None
    recipes = OmegaConf.select(OmegaConf.load(path), "target")
    if recipes is None:
        return None
    return (
        f"No target is judged: that of recipe={config.recipe}, {recipes:g}, is of the mean "
        f"accuracy. target=VALUE names one of {config.headline}."
    )


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """One list of overrides a variant: every combination of the values of the sweeps.

    ``["sched=onecycle,cosine", "seed=1"]`` gives two variants. Order: the last sweep
    changes fastest, as in Hydra's multirun.
    """
    choices: list[list[str]] = []
    for word, override in zip(overrides, read(overrides), strict=True):
        if override.is_sweep_override():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in values(override)])
        else:
            choices.append([word])
    check_number(math.prod(map(len, choices)))
    return [list(combination) for combination in itertools.product(*choices)]


def check_number(n_variants: int) -> None:
    """Refuse more variants than anybody can look at, before they are made.

    Raises
    ------
    ConfigError
        There are more than `MOST_VALUES`.
    """
    if n_variants > MOST_VALUES:
        raise ConfigError(
            f"these values make {shown(n_variants)} variants, and at most {MOST_VALUES} are made. "
            "`kfold-hs tune` searches among more without trying each."
        )


def key_of(override: str) -> str:
    """The key or group that an override sets, e.g. ``optim.lr`` or ``sched``."""
    return str(read([override])[0].key_or_group)


def is_key(name: str) -> bool:
    """Whether some configuration has this key or group."""
    return name in groups() or can_be(name)


def differences(one: Mapping[str, Any], two: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys in which two nested configurations differ, each with both values."""
    found = []
    for key in sorted({*one, *two}):
        left, right = one.get(key), two.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            found += differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(f"{prefix}{key} ({left} there, {right} here)")
    return found


def _check_names(parsed: Iterable[Override]) -> None:
    """Refuse keys and choices that do not exist, all at once and with a guess for each."""
    available = groups()
    faults, chosen, keys = [], [], []
    for override in parsed:
        name = override.key_or_group
        if name not in available:
            keys.append(override)
        elif override.is_delete() or override.is_add() or override.package is not None:
            faults.append(f"{shown(override.input_line)}: a group is chosen as {name}=NAME.")
        elif (value := override.value()) in available[name] or (
            plugins.load_installed() and value in groups()[name]
        ):
            chosen.append(override.input_line or "")
        else:
            faults.append(
                unknown_name(f"choice for {name}=", readable(str(value), 80), available[name])
            )
    if not faults:
        known = _known_keys(tuple(chosen))
        for override in keys:
            if _is_known(override, known):
                continue
            if note := advice(override.key_or_group, override.value()):
                faults.append(note)
                continue
            guess = nearest(override.key_or_group, known | set(available))
            line = f"unknown key {shown(override.key_or_group)}"
            if not _is_short(override):
                line += f" in {shown(override.input_line)}"
            faults.append(f"{line}." + (f" Did you mean {guess!r}?" if guess else ""))
    if faults:
        raise ConfigError(_sentences(faults) + " `kfold-hs config` prints all keys.")


def _is_known(override: Override, known: frozenset[str]) -> bool:
    """Whether it sets what is there, or a setting that the files of `configs/` leave out."""
    key = override.key_or_group
    if override.package is not None:
        return False
    if key in known or ((override.is_add() or override.is_force_add()) and can_be(key)):
        return True
    return not override.is_delete() and key.rpartition(".")[0] in known and is_always(key)


def _is_short(override: Override) -> bool:
    """Whether the word says no more than its key."""
    return override.input_line == override.key_or_group


@plugins.cached
def _known_keys(chosen: tuple[str, ...]) -> frozenset[str]:
    """Every key that there is with these choices of groups."""
    return frozenset(_flat_keys(_container(_chosen(chosen))))


def _flat_keys(values: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")


@plugins.cached
def _chosen(choices: tuple[str, ...]) -> DictConfig:
    """What choices of groups make by themselves; Hydra takes a tenth of a second. Not to change."""
    for group, table in TABLES.items():
        for name in table.keys() - _files(group):
            ConfigStore.instance().store(group=group, name=name, node={"kind": name})
    with (
        understood(f"compose {listing(map(shown, choices))}"),
        initialize_config_dir(str(config_folder().resolve()), version_base="1.3"),
    ):
        chosen = _container(hydra_compose("config", overrides=list(choices)))
        return OmegaConf.create(with_defaults(chosen))


def _apply(override: Override, composed: DictConfig) -> None:
    """Set what an override says, as Hydra does once all groups are chosen."""
    key, value = override.key_or_group, override.value()
    if override.is_delete():
        place, _, name = key.rpartition(".")
        del (OmegaConf.select(composed, place) if place else composed)[name]
        return
    # A dict given for one of these takes the place of the default: merging would add to it.
    OmegaConf.update(composed, key, value, merge=key not in WHOLE, force_add=True)


def _plain(composed: DictConfig) -> dict[str, Any]:
    """Plain values, interpolations resolved, none of them missing."""
    if missing := sorted(OmegaConf.missing_keys(composed)):
        raise ConfigError(
            f"{listing(missing)} must be given, e.g. {missing[0]}=VALUE; it has no default."
        )
    return _container(composed)


def _container(composed: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _validated(values: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise ConfigError(_sentences([_sentence(fault) for fault in error.errors()])) from error


def _sentences(faults: Sequence[str], most: int = 8) -> str:
    text = " ".join(readable(fault, 400) for fault in faults[:most])
    return text + (f" And {len(faults) - most} more." if len(faults) > most else "")


def _sentence(fault: Any) -> str:
    key, value = ".".join(map(str, fault["loc"])), fault["input"]
    if fault["type"] == "value_error":  # one of our own, which names keys and values itself
        text = str(fault["ctx"]["error"])
        if key and re.match(r"\w+=(true|false) does not fit", text):  # of `Settings`
            text = f"{key}.{text}"
        return text if text.endswith(("?", ".")) else f"{text}."
    if fault["type"] == "extra_forbidden":
        return f"unknown key {shown(key)}."
    if fault["type"] == "missing":
        return f"{key} must be given; it has no default."
    allowed = fault["msg"][:1].lower() + fault["msg"][1:]
    line = f"{key}={shown(value)} does not fit: {allowed}."
    if fault["type"] == "string_type" and isinstance(value, int | float):
        line += f" As a text: '{key}=\"{readable(str(value), 80)}\"'."
    if fault["type"] == "literal_error" and isinstance(value, str):
        names = [
            name.strip(" '") for name in fault["ctx"]["expected"].replace(" or ", ",").split(",")
        ]
        if guess := nearest(value, names):
            line += f" Did you mean {guess!r}?"
    return line


def load_yaml(path: Path) -> Config:
    """The configuration that a run wrote to its `config.yaml`.

    Raises
    ------
    DamagedFileError
        The file is damaged.
    ConfigError
        It holds keys or values that this version has not.
    """
    what = "the configuration"
    values = stored.read_yaml(path, what)
    with stored.parsing(path, what):
        try:
            return _validated(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
