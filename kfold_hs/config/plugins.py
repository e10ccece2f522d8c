"""Modules of the user's that add choices: imported by name, known by the digest of their source.

`plugins=[my_module]` imports my_module, which may lie in the working folder; `plugins=[nets/a.py]`
a file. An installed package names its modules under the entry point `kfold_hs.plugins`. Whatever
process restores a configuration imports its plug-ins, so that every worker has them.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kfold_hs.config import source_files
from kfold_hs.config.base import Settings
from kfold_hs.config.data import DATA
from kfold_hs.config.features import FEATURES
from kfold_hs.config.losses import LOSSES
from kfold_hs.config.models import MODELS
from kfold_hs.config.plugin_modules import import_file, installed, module_of
from kfold_hs.config.registry import Registry, Row, absent
from kfold_hs.config.schedules import SCHEDULES
from kfold_hs.config.training import AUGMENTATIONS
from kfold_hs.errors import ConfigError, listing
from kfold_hs.files.cache import cache_folder
from kfold_hs.files.paths import write_bytes

REGISTRIES: dict[str, Registry] = {
    "model": MODELS,
    "features": FEATURES,
    "reader": DATA,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "augmentation": AUGMENTATIONS,
}
"""What a plug-in can add, beside metrics."""
TYPED_IN = "__main__"
"""Plug-in of what was defined in a notebook, a script or a prompt."""
_METRIC = "metric "
_MOST_BYTES = 2_000_000
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Plugin(Settings):
    """A plug-in as a configuration names it.

    sha256 : of its source
    adds : what it adds, e.g. "model mynet"
    """

    sha256: str
    adds: tuple[str, ...] = ()

    @property
    def is_trained_with(self) -> bool:
        """Whether it adds more than metrics, which only judging reads."""
        return any(not each.startswith(_METRIC) for each in self.adds)


@dataclass
class _Loaded:
    """A module that was imported: the source it had then, and what it added."""

    sha256: str
    files: dict[str, Path]
    adds: list[str] = field(default_factory=list)


_loaded: dict[str, _Loaded] = {}
_loading: list[str] = []
_faults: dict[str, str] = {}
_reading: list[bool] = []
_caches: list[Callable[[], None]] = []


def cached(function: _Function) -> _Function:
    """As functools.cache, forgotten when a plug-in adds something."""
    kept = functools.lru_cache(maxsize=4096)(function)
    _caches.append(kept.cache_clear)
    return kept  # type: ignore[return-value]


def add(what: str, name: str, module: str) -> str:
    """Note that a module adds something; the name of its plug-in.

    Parameters
    ----------
    what : str
        A key of `REGISTRIES`, or "metric".
    module : str
        Where it is defined.
    """
    plugin = _loading[-1] if _loading else module
    if plugin not in _loaded:  # imported by the user's own code, or typed in
        _loaded[plugin] = _Loaded("", {})
    if not _loading:  # typed in anew, maybe
        _loaded[plugin].sha256 = ""
    noted = _loaded[plugin].adds
    if f"{what} {name}" not in noted:
        noted.append(f"{what} {name}")
    _faults.pop(plugin, None)
    forget()
    return plugin


def forget() -> None:
    """Compose anew: there may be other choices."""
    for clear in _caches:
        clear()


def load(name: str) -> Plugin:
    """Import a plug-in, again if its source has changed since.

    Parameters
    ----------
    name : str
        A module, a file `*.py`, or an installed entry point.

    Returns
    -------
    Plugin

    Raises
    ------
    ConfigError
        It is not there, cannot be imported, or adds nothing.
    """
    module, path = module_of(name)
    known = _loaded.get(module)
    if known and (not known.files or known.sha256 == source_files.digest(known.files)):
        return _record(module)
    if module == TYPED_IN:
        raise ConfigError(
            "a plug-in was defined in a notebook or script that is not the one running here: "
            "define it again, or write it into a file NAME.py and give plugins=[NAME]. Other "
            "processes, such as those of --jobs, can import files only."
        )
    with _importing(module, name, known):
        if path is None:
            importlib.import_module(module)
        else:
            import_file(module, path)
    found = _loaded.get(module)
    if found is None or not found.adds:
        raise ConfigError(
            f"the plug-in {name} adds nothing: mark what it is to add, e.g. with "
            "@kfold_hs.register.model('mynet'). docs/plugins.md has examples."
        )
    found.files = source_files.files_of(module)
    found.sha256 = source_files.digest(found.files)
    return _record(module)


def named(name: str) -> tuple[str, Plugin]:
    """As `load`, with the name of the module."""
    return module_of(name)[0], load(name)


def restore(records: Mapping[str, Any]) -> None:
    """Import the plug-ins that a written configuration names; one that is not here is `absent`."""
    for module, record in records.items():
        try:
            if not _reading:
                load(module)
                continue
            error = ConfigError(f"the plug-in {module} was not imported.")
        except ConfigError as fault:
            error, _faults[module] = fault, str(fault)
        if module not in _loaded:
            adds = record.get("adds", ()) if isinstance(record, Mapping) else ()
            for what, _, name in (str(each).partition(" ") for each in adds):
                registry = REGISTRIES.get(what)
                if registry is not None and name not in registry:
                    registry[name] = absent(registry.base, module, str(error))
            forget()


def name_of(what: str, thing: Any) -> str | None:
    """What a class or function of a plug-in was added as; None: it was not."""
    for name, row in REGISTRIES[what].items():
        if row.build is not None and getattr(row.build, "__wrapped__", None) is thing:
            return name
    return None


def found() -> dict[str, Plugin | str]:
    """Plug-ins that were imported, or why one could not be."""
    return {name: _faults.get(name) or _record(name) for name in _loaded | dict(_faults)}


@contextmanager
def reading_only() -> Iterator[None]:
    """In here configurations of other runs are restored without importing anything."""
    _reading.append(True)
    try:
        yield
    finally:
        _reading.pop()


def record_of(row: Row) -> tuple[str, Plugin] | None:
    """The plug-in that a row is of, by name; None: the package's."""
    if not row.plugin or row.plugin in _faults:
        return None
    return row.plugin, _record(row.plugin)


def check(records: Mapping[str, Plugin]) -> None:
    """Refuse to compute with plug-ins that are not here, or not as they were.

    Raises
    ------
    ConfigError
        With both digests.
    """
    for module, record in records.items():
        if fault := _faults.get(module):
            raise ConfigError(
                f"{fault} Whatever is computed with it needs its source: put the folder that holds "
                "it on PYTHONPATH, or start from that folder."
            )
        if record.is_trained_with and (found := _loaded_digest(module)) != record.sha256:
            raise ConfigError(
                f"the source of the plug-in {module} has changed: its SHA-256 is {found[:16]}, and "
                f"{record.sha256[:16]} was trained with. Repeat the run, which then is another "
                "one, or restore the source."
            )


def refuse_typed_in(records: Mapping[str, Plugin]) -> None:
    """Refuse to make something for others of what only this process has.

    Raises
    ------
    ConfigError
        A class was defined in a notebook or script.
    """
    if TYPED_IN in records:
        raise ConfigError(
            f"{listing(records[TYPED_IN].adds)} was defined in a notebook or script, which nobody "
            "else can import: write it into a file NAME.py, give plugins=[NAME], and train again. "
            "`report.models` works here all the same."
        )


def source_of(settings: Any) -> str:
    """Digest of the source that made a settings class; "": the package's."""
    return _loaded_digest(settings.plugin) if settings.plugin else ""


def load_installed() -> bool:
    """Import all installed plug-ins, once; whether there is anything new."""
    before = len(_loaded)
    for name in installed():
        load(name)
    return len(_loaded) > before


def sources(records: Mapping[str, Plugin]) -> dict[str, dict[str, bytes]]:
    """Files of plug-ins by their path below the folder that is to be on the path."""
    return {
        module: {name: path.read_bytes() for name, path in _loaded[module].files.items()}
        for module in records
        if module in _loaded
    }


def unpack(files: Mapping[str, Mapping[str, bytes]]) -> None:
    """Make plug-ins of another machine importable here, where they are not."""
    for module, each in files.items():
        if not each or importlib.util.find_spec(module.partition(".")[0]) is not None:
            continue
        digest = source_files.digest_of(each)
        folder = cache_folder() / "plugins" / digest
        for name, content in each.items():
            write_bytes(folder / name, content, checksum=False)
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _record(module: str) -> Plugin:
    return Plugin(sha256=_loaded_digest(module), adds=tuple(_loaded[module].adds))


def _loaded_digest(module: str) -> str:
    found = _loaded.get(module)
    if found is None:
        return "nothing"
    if not found.sha256:
        found.files = source_files.files_of(module)
        found.sha256 = (
            source_files.digest(found.files) if found.files else _digest_of_objects(found.adds)
        )
    return found.sha256


def _digest_of_objects(adds: list[str]) -> str:
    """Of what was typed into a notebook: the source of each object."""
    parts = []
    for what, _, name in (each.partition(" ") for each in adds):
        row = REGISTRIES[what].get(name) if what in REGISTRIES else None
        if row is not None and row.build is not None:
            parts.append(source_files.text_of(inspect.unwrap(row.build)))
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


@contextmanager
def _importing(module: str, name: str, known: _Loaded | None) -> Iterator[None]:
    """What is added meanwhile is of this module; what it was before is forgotten."""
    if known is not None:
        stale = {str(path) for path in known.files.values()}
        for each, loaded in list(sys.modules.items()):
            if getattr(loaded, "__file__", None) in stale:
                del sys.modules[each]
        known.adds.clear()
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last, so that nothing of the user's shadows a package
    importlib.invalidate_caches()
    _loading.append(module)
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # anything may be wrong with somebody's module
        _loaded.pop(module, None)
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise ConfigError(
                f"there is no plug-in {name}: no module of this name lies in {Path.cwd()} or on "
                "PYTHONPATH, and none is installed."
            ) from error
        raise ConfigError(
            f"the plug-in {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    finally:
        _loading.pop()
