"""Choices by name: rows that the package brings, and those that plug-ins add.

A row is a settings class and what is built from such settings. A setting of the type
`one_of(REGISTRY)` is one of its rows, told by its `kind`.
"""

from __future__ import annotations

import inspect
import os
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import pydantic
from pydantic import BeforeValidator, ConfigDict, SerializeAsAny

from kfold_hs.config.base import Choice
from kfold_hs.errors import ConfigError, KfoldHsError, unknown_name

Build = Callable[..., Any]
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Row(NamedTuple):
    """One choice.

    settings : what it is set by; `kind` is its name
    build : what makes it; the registry says from what. None: its function lies where torch may be
        imported
    plugin : module that added it; "": the package
    """

    settings: type[Choice]
    build: Build | None = None
    plugin: str = ""


class Registry(dict[str, Row]):
    """Rows by name.

    Parameters
    ----------
    what : str
        "model", "schedule", ...: what a row is called in errors.
    base : type
        Settings that every row has.
    rows : mapping
    default : str, optional
        The row of settings that name no kind.
    """

    def __init__(
        self, what: str, base: type[Choice], rows: Mapping[str, Row], default: str | None = None
    ) -> None:
        super().__init__(rows)
        self.what, self.base, self.default = what, base, default

    def add(self, name: str, row: Row) -> None:
        """Add a plug-in's row; what the package or another plug-in calls so stays.

        Raises
        ------
        ConfigError
            The name is taken.
        """
        known = self.get(name)
        if known and known.plugin != row.plugin and not issubclass(known.settings, Absent):
            owner = f"the plug-in {known.plugin}" if known.plugin else "kfold-hs"
            raise ConfigError(
                f"the plug-in {row.plugin} adds the {self.what} {name!r}, which is one of {owner} "
                "already: give it another name."
            )
        self[name] = row

    def settings_of(self, value: Any) -> Any:
        """Settings from a mapping, by its `kind`; settings stay what they are."""
        if isinstance(value, Choice) or not isinstance(value, Mapping):
            return value
        kind = value.get("kind", self.default)
        if not isinstance(kind, str) or kind not in self:
            raise ValueError(unknown_name(self.what, str(kind)[:80], list(self)).rstrip("."))
        found = self[kind].settings.model_validate(value)
        if isinstance(found, Absent):
            found.keep(value)
        return found

    def of(self, settings: Choice) -> Row:
        """The row of settings."""
        return self[settings.kind]


class Rows(NamedTuple):
    """Noted beside a type that `one_of` made."""

    registry: Registry


def one_of(registry: Registry) -> Any:
    """The type of a setting that is a row of a registry."""
    chosen = BeforeValidator(registry.settings_of)
    return Annotated[SerializeAsAny[registry.base], chosen, Rows(registry)]  # type: ignore[misc, name-defined]


class Absent(Choice):
    """Settings of a plug-in that is not here: kept as they are, so that results can be shown."""

    model_config = ConfigDict(extra="allow")
    kind: str
    is_absent: ClassVar[bool] = True
    _given: dict[str, Any] = pydantic.PrivateAttr(default_factory=dict)

    def keep(self, given: Mapping[str, Any]) -> None:
        """These are the settings, in this order."""
        self._given.update(given)

    @pydantic.model_serializer(mode="plain")
    def _as_given(self) -> dict[str, Any]:
        return dict(self._given)


def absent(base: type[Choice], plugin: str, fault: str) -> Row:
    """A row that stands for one of a plug-in that cannot be imported.

    It cannot be built: that is a ConfigError with `fault`.
    """

    def build(*_: Any, **__: Any) -> Any:
        raise ConfigError(fault)

    settings = pydantic.create_model(f"Absent{base.__name__}", __base__=(base, Absent))
    settings.plugin = plugin
    return Row(settings, build, plugin)


def settings_from(
    function: Build, base: type[Choice], kind: str, given: tuple[str, ...]
) -> type[Choice]:
    """Settings of a user's function or class: its parameters, their types and defaults.

    Parameters
    ----------
    function : callable
    base : type
        What such settings have besides.
    kind : str
    given : tuple of str
        Parameters that are no settings.

    Raises
    ------
    ConfigError
        A parameter is called like a setting of `base`.
    """
    fields: dict[str, Any] = {"kind": (Literal[kind], kind)}
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in given or parameter.kind in _ANY:
            continue
        if name == "kind" or name in base.model_fields or name.startswith(("_", "model_")):
            raise ConfigError(
                f"the parameter {name} of {kind} ({function.__module__}) cannot be a setting: it "
                f"begins with _ or model_, or is one of {', '.join(['kind', *base.model_fields])}, "
                "which are settings already. Give it another name."
            )
        is_given = parameter.default is not inspect.Parameter.empty
        guess = type(parameter.default) if is_given and parameter.default is not None else Any
        fields[name] = (hints.get(name, guess), parameter.default if is_given else ...)
    made = pydantic.create_model(
        f"{kind}_settings", __base__=base, __module__=function.__module__, **fields
    )
    made.__doc__ = inspect.getdoc(function)
    return made


def own(settings: Choice, base: type[Choice]) -> dict[str, Any]:
    """What a user's function is called with: the values of its own parameters."""
    common = {"kind", *base.model_fields}
    return {name: getattr(settings, name) for name in type(settings).model_fields if
            name not in common}  # fmt: skip


def _hints(function: Build) -> dict[str, Any]:
    """Types of the parameters, as far as they can be found."""
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError):  # a name that only a type checker sees
        return {}


@contextmanager
def calling(what: str) -> Iterator[None]:
    """What goes wrong in a user's function is told as theirs, with the line.

    Raises
    ------
    ConfigError
        In place of whatever it raised.
    """
    try:
        yield
    except KfoldHsError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [each for each in frames if f"{os.sep}kfold_hs{os.sep}" not in each.filename]
        at = f" ({own[0].filename}, line {own[0].lineno})" if own else ""
        text = (str(error).strip() or "no message").splitlines()[0]
        raise ConfigError(f"{what} failed: {type(error).__name__}: {text}{at}.") from error
