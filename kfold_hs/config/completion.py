"""What a word of a command line may become: groups, keys and values that begin like it.

The settings' types take a third of a second to load; what completion asks of them is kept in the
cache folder, until a file of the package changes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from kfold_hs import __version__
from kfold_hs.errors import KfoldHsError, StorageError
from kfold_hs.files import stored
from kfold_hs.files.atomic import write_json
from kfold_hs.files.cache import cache_folder

PATH = "<path>"
"""Among the values of a key: it takes the path of a file or folder."""
STUDIES = (".yaml", ".yml")

Words = dict[str, list[str]]


def settings_like(word: str) -> list[str]:
    """Words that begin as this one does: `sched=`, `sched.`, `train.epochs=`, `sched=cosine`.

    What ends in `=`, `.`, `/` is to be continued.
    """
    known = _known()
    key, is_set, value = word.partition("=")
    if not is_set:
        return _names(known, word)
    choices = known.get(key.lstrip("+"))
    if choices is None:
        return []
    if PATH in choices:
        return [f"{key}={path}" for path in paths_like(value)]
    before, comma, last = value.rpartition(",")
    return [f"{key}={before}{comma}{each}" for each in choices if each.startswith(last)]


def _names(known: Words, word: str) -> list[str]:
    """Keys down to the next dot."""
    found: dict[str, None] = {}
    for key in known:
        if key.startswith(word):
            end = key.find(".", len(word))
            found[f"{key}=" if end < 0 else key[: end + 1]] = None
    return sorted(found)


def paths_like(text: str, suffixes: Iterable[str] = ()) -> list[str]:
    """Files and folders that begin as a path does, folders with a slash at the end.

    Parameters
    ----------
    suffixes : iterable of str
        In lower case; only such files, besides folders. None: all.
    """
    start, name = text[: text.rfind("/") + 1], text[text.rfind("/") + 1 :]
    wanted = tuple(suffixes)
    found = []
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        for path in sorted(Path(start or ".").expanduser().iterdir()):
            if not path.name.startswith(name) or (path.name.startswith(".") and not name):
                continue
            if path.is_dir():
                found.append(f"{start}{path.name}/")
            elif not wanted or path.suffix.lower() in wanted:
                found.append(f"{start}{path.name}")
    return found


def _known() -> Words:
    """Every key and its values, from the cache where it is as the package is."""
    path: Path | None = None
    with contextlib.suppress(StorageError):
        path = cache_folder() / f"completion-{_state()}.json"
    if path is not None:
        with contextlib.suppress(KfoldHsError, OSError):
            found: Words = stored.read_json(path, "the words to complete")
            return found
    return _made(path, _of_types)


def _made(path: Path | None, make: Callable[[], Words]) -> Words:
    found = make()
    if path is not None:
        with contextlib.suppress(StorageError):
            for old in path.parent.glob("completion-*.json"):
                old.unlink(missing_ok=True)
            write_json(path, found, checksum=False)
    return found


def _of_types() -> Words:
    from kfold_hs.config.compose import groups
    from kfold_hs.config.keys import is_path, keys, values_of

    found = {key: values_of(key) for key in keys() if "*" not in key and not key.endswith(".kind")}
    found |= {key: [PATH] for key in found if is_path(key)}
    return dict(sorted({**found, **groups()}.items()))


def _state() -> str:
    """A digest of when the files were changed that keys and choices come from."""
    folder = Path(__file__).parent
    files = [*folder.glob("*.py"), *(folder.parent / "configs").glob("*/*.yaml")]
    parts = [f"{path} {path.stat().st_mtime_ns}" for path in sorted(files)]
    return hashlib.sha256("\n".join([__version__, *parts]).encode()).hexdigest()[:16]
