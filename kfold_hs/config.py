"""Composition: a command line and `configs/` become one checked `Config`.

A command line is a list of overrides in Hydra's grammar: `sched=cosine` chooses
`configs/sched/cosine.yaml`, `optim.lr=1e-4` sets one value, `optim.lr=1e-4,1e-3`
is a sweep: one variant for each value. Whatever is wrong with a configuration is
told at once, each fault with its key, its value, what is allowed and, for a name,
the nearest one that exists.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kfold_hs import stored
from kfold_hs.errors import ConfigError, listing, nearest, unknown_name
from kfold_hs.settings import Config

# pydantic puts the tag of such a union into the place of an error; a user's key has none.
_TAGGED = {"data", "loss", "sched"}
# A folder of `configs/` whose files are no choices of a group; see `kfold_hs.space`.
SPACES = "tune"
_WHOLE = {"data.tasks", "loss.task_weights"}


def config_folder() -> Path:
    """`configs/`: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def groups() -> dict[str, list[str]]:
    """Every group of `configs/` with the names that can be chosen from it."""
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in sorted(config_folder().iterdir())
        if folder.is_dir() and folder.name != SPACES and any(folder.glob("*.yaml"))
    }


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
    return _compose(tuple(overrides))


@functools.lru_cache(maxsize=1024)
def _compose(overrides: tuple[str, ...]) -> Config:
    """A search asks for the variant of each of its points again and again; Hydra is slow."""
    parsed = _parse(overrides)
    if sweeps := [o.input_line or "" for o in parsed if o.is_sweep_override()]:
        raise ConfigError(
            f"{listing(sweeps)} names several values, which makes several variants, and this "
            "command takes one. Give one value."
        )
    _check_names(parsed)
    # A dict given for one of these takes the place of the default: Hydra would add to it.
    whole = [o for o in parsed if o.key_or_group in _WHOLE and isinstance(o.value(), dict)]
    rest = [o.input_line or "" for o in parsed if o not in whole]
    values = _composed(rest)
    for override in whole:
        given = override.value()
        assert isinstance(given, dict)
        group, _, key = override.key_or_group.partition(".")
        values[group][key] = OmegaConf.to_container(OmegaConf.create(given))
    return _validated(values)


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """One list of overrides a variant: every combination of the values of the sweeps.

    ``["sched=onecycle,cosine", "seed=1"]`` gives two variants. Order: the last sweep
    changes fastest, as in Hydra's multirun.
    """
    choices: list[list[str]] = []
    for override in _parse(overrides):
        if override.is_sweep_override():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([override.input_line or ""])
    return [list(combination) for combination in itertools.product(*choices)]


def key_of(override: str) -> str:
    """The key or group that an override sets, e.g. ``optim.lr`` or ``sched``."""
    return str(_parse([override])[0].key_or_group)


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


def _parse(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise ConfigError(
            f"cannot read {error.override!r}: an override is key=value or group=name, "
            f"e.g. optim.lr=1e-4 or sched=cosine ({str(error).splitlines()[0]})."
        ) from error


def _check_names(parsed: Iterable[Override]) -> None:
    """Refuse keys and choices that do not exist, all at once and with a guess for each."""
    available = groups()
    faults, chosen, keys = [], [], []
    for override in parsed:
        name = override.key_or_group
        if name in available:
            value = override.value()
            if value in available[name]:
                chosen.append(override.input_line or "")
            else:
                faults.append(unknown_name(f"choice for {name}=", str(value), available[name]))
        else:
            keys.append(override)
    if not faults:
        known = _known_keys(tuple(chosen))
        for override in keys:
            if override.is_add() or override.key_or_group in known:
                continue
            guess = nearest(override.key_or_group, known | set(available))
            line = f"unknown key {override.key_or_group!r} in {override.input_line!r}."
            faults.append(line + (f" Did you mean {guess!r}?" if guess else ""))
    if faults:
        raise ConfigError(" ".join(faults) + " `kfold-hs config` prints all keys.")


@functools.cache
def _known_keys(chosen: tuple[str, ...]) -> frozenset[str]:
    """Every key that there is with these choices of groups; composing takes a tenth of a second."""
    return frozenset(_flat_keys(_composed(chosen, missing_ok=True)))


def _flat_keys(values: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _flat_keys(value, f"{prefix}{key}.")


def _composed(overrides: Sequence[str], missing_ok: bool = False) -> dict[str, Any]:
    try:
        with initialize_config_dir(str(config_folder().resolve()), version_base="1.3"):
            composed = hydra_compose("config", overrides=list(overrides))
        values = OmegaConf.to_container(composed, resolve=True)
        missing = sorted(OmegaConf.missing_keys(composed))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"cannot compose the configuration: {error}") from error
    if missing and not missing_ok:
        raise ConfigError(
            f"{listing(missing)} must be given, e.g. {missing[0]}=VALUE; it has no default."
        )
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _validated(values: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise ConfigError(" ".join(_sentence(fault) for fault in error.errors())) from error


def _sentence(fault: Any) -> str:
    place = [
        str(part)
        for i, part in enumerate(fault["loc"])
        if not (i == 1 and fault["loc"][0] in _TAGGED and len(fault["loc"]) > 2)
    ]
    key, value = ".".join(place), fault["input"]
    if fault["type"] == "value_error":  # one of our own, which names keys and values itself
        return str(fault["ctx"]["error"]) + "."
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}."
    allowed = fault["msg"][:1].lower() + fault["msg"][1:]
    line = f"{key}={value!r} does not fit: {allowed}."
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
