"""What is installed on a machine and whether it fits, and what to do where it does not."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Literal

from kfold_hs.config import plugins
from kfold_hs.config.compose import compose
from kfold_hs.config.plugin_modules import installed
from kfold_hs.errors import ConfigError, KfoldHsError, counted, listing, readable
from kfold_hs.files.cache import cache_folder
from kfold_hs.files.room import fault_of, free_bytes
from kfold_hs.orchestrator.hardware import hardware, n_cores

State = Literal["ok", "look", "missing"]
_NAME = "kfold-hs"
_SHOWN = ("torch", "torchaudio", "torchvision", "timm", "scikit-learn", "numpy", "pandas")
_LEAST_MEMORY_GIB, _LEAST_FREE = 4, 5_000_000_000
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
_DRIVER = Path("/proc/driver/nvidia/version")
_COUNTING_S = 0.5
"""So long the files of the cache are counted."""
_OF_DEVELOPERS = ("dev", "golden", "bench", "test", "docs")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    group, name, found : str
        E.g. "folders", "cache", "/home/me/.cache/kfold-hs, 1.2 GB, 40 GB free".
    state : str
        ok; look: it works, and may not be what is wanted; missing: it is not there or broken.
    advice : str
        What to do; "" where nothing is.
    is_needed : bool
        `kfold-hs run` needs it.
    """

    group: str
    name: str
    found: str
    state: State = "ok"
    advice: str = ""
    is_needed: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether `kfold-hs run` would fail of it."""
        return self.is_needed and self.state == "missing"


def examine(overrides: Sequence[str] = (), root: Path = Path()) -> list[Check]:
    """Look at versions, devices, folders, extras and plug-ins; takes as long as loading torch.

    Parameters
    ----------
    overrides : sequence of str
        As on a command line; whether they fit is looked at, too, and their plug-ins are imported.
    root : Path
        Folder where results go.
    """
    return [
        *_versions(), *_libraries(), *_machine(), *_devices(), *_folders(root), *_extras(),
        *_figures(), *_plugins(overrides),
    ]  # fmt: skip


def _versions() -> Iterator[Check]:
    asked = metadata.metadata(_NAME)["Requires-Python"] or ""
    least = tuple(map(int, re.findall(r">=\s*(\d+)\.(\d+)", asked)[0])) if asked else (0, 0)
    fits = sys.version_info[:2] >= least
    advice = "" if fits else f"Install Python {asked} and a new virtual environment."
    yield Check("versions", "python", platform.python_version(), _state(fits), advice, True)
    yield Check("versions", _NAME, metadata.version(_NAME))
    n_others = 0
    for requirement in _requirements(""):
        name, wanted = requirement
        found = _version(name)
        if found is None:
            way = f"pip install '{name}{wanted}'"
            yield Check("versions", name, "not installed", "missing", way, True)
        elif not _fits(found, wanted):
            text = f"{found}; kfold-hs takes {wanted}"
            yield Check("versions", name, text, "look", f"pip install '{name}{wanted}'")
        elif name in _SHOWN:
            yield Check("versions", name, found)
        else:
            n_others += 1
    yield Check("versions", "others", f"{counted(n_others, 'package')}, as kfold-hs takes them")


def _requirements(extra: str) -> list[tuple[str, str]]:
    """Packages that an extra asks for, or with "" the package itself, with their versions."""
    found = []
    for line in metadata.requires(_NAME) or []:
        head, _, marker = line.partition(";")
        named = re.findall(r"extra == ['\"]([^'\"]+)['\"]", marker)
        if (named or [""]) == [extra]:
            match = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?([^)]*)\)?", head)
            if match:
                found.append((match[1], match[2].strip()))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)


def _libraries() -> Iterator[Check]:
    """Whether what is compiled can be loaded, and the three of torch fit one another."""
    for name in ("torch", "torchvision", "torchaudio", "soundfile"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = import_module(name)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            text = readable(str(error).strip().splitlines()[0] if str(error) else repr(error), 200)
            yield Check("libraries", name, f"cannot be loaded: {text}", "missing", _way(name), True)
            continue
        what = ""
        if name == "soundfile":
            what = f", libsndfile {module.__libsndfile_version__}"
        yield Check("libraries", name, f"can be loaded{what}")
    for name in ("torchvision", "torchaudio"):
        for line in metadata.requires(name) or [] if _version(name) else []:
            match = re.fullmatch(r"torch\s*\(?([=<>!~][^;)]*)\)?", line.partition(";")[0].strip())
            torch = (_version("torch") or "0").partition("+")[0]
            if match and not _fits(torch, match[1]):
                text = f"{_version(name)} was built for torch{match[1]}, and torch is {torch}"
                yield Check("libraries", f"{name} and torch", text, "look", _way(name))


def _way(name: str) -> str:
    if name == "soundfile":
        return "pip install --force-reinstall soundfile, or apt install libsndfile1"
    return "Install the three together: pip install -U torch torchvision torchaudio"


def _machine() -> Iterator[Check]:
    found, cores = hardware(), n_cores()
    yield Check("machine", "system", f"{platform.system()} {platform.machine()}")
    yield Check("machine", "processor", f"{found['processor']}, {counted(cores, 'core')}")
    memory = found["memory_gib"]
    fits = memory >= _LEAST_MEMORY_GIB
    advice = "" if fits else "Train with a smaller train.batch_size, and --jobs 1."
    yield Check("machine", "memory", f"{memory} GiB", "ok" if fits else "look", advice)
    n_threads = os.environ.get("OMP_NUM_THREADS", "")
    if (torch := sys.modules.get("torch")) is not None:
        n = torch.get_num_threads()
        said = f"{counted(n, 'thread')}" + (f" (OMP_NUM_THREADS={n_threads})" if n_threads else "")
        many = n > cores
        advice = f"More threads than cores wait for each other: OMP_NUM_THREADS={cores}" * many
        yield Check("machine", "threads", said, "look" if many else "ok", advice)


def _devices() -> Iterator[Check]:
    """GPUs, as far as torch can use them."""
    has_driver = _DRIVER.exists() or shutil.which("nvidia-smi") is not None
    torch = sys.modules.get("torch")
    if torch is None:
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for k in range(n_gpus):
        room = torch.cuda.get_device_properties(k).total_memory / 2**30
        found = f"cuda:{k} {torch.cuda.get_device_name(k)}, {room:.0f} GiB"
        yield Check("devices", "GPU", found)
    if not n_gpus and torch.version.cuda and has_driver:
        why = readable(str(said[0].message), 200) if said else "torch cannot use it"
        yield Check("devices", "GPU", f"none that can be used: {why}", "look",
                    f"torch is built for CUDA {torch.version.cuda}: update the driver, or install "
                    "a torch built for it")  # fmt: skip
    elif not n_gpus and has_driver:
        text = "an NVIDIA driver is here, and this torch has no CUDA"
        yield Check("devices", "GPU", text, "look", "pip install a torch that is built for CUDA")
    elif not n_gpus and torch.backends.mps.is_available():
        yield Check("devices", "GPU", "Apple's (MPS)")
    elif not n_gpus:
        yield Check("devices", "GPU", "none; networks are trained on the CPU")
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("g++", "clang++", "cl")), None)
    if compiler is None:
        yield Check("devices", "compiler", "none, of C++", "missing",
                    "For train.backend=compile on the CPU only: apt install g++")  # fmt: skip
    else:
        yield Check("devices", "compiler", f"{compiler}, for train.backend=compile on the CPU")


def _folders(root: Path) -> Iterator[Check]:
    cache = "KFOLD_HS_CACHE=DIR names another folder"
    try:
        place = cache_folder()
        yield _folder("cache", place, f", {_size(place)}", cache)
    except KfoldHsError as error:
        yield Check("folders", "cache", str(error), "missing", cache, True)
    yield _folder("results", root.absolute(), "", "--root DIR names another folder")


def _folder(name: str, folder: Path, what: str, advice: str) -> Check:
    if fault := fault_of(folder):
        return Check("folders", name, f"{folder}: {fault}", "missing", advice, True)
    free = free_bytes(folder)
    text = f"{folder}{what}, {free / 1e9:.1f} GB free"
    if free < _LEAST_FREE:
        return Check("folders", name, text, "look", f"Make room, or {advice}")
    return Check("folders", name, text)


def _size(folder: Path) -> str:
    """What the files of a folder come to, as far as half a second tells."""
    total, end = 0, time.monotonic() + _COUNTING_S
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - fast
            except OSError:
                continue
        if time.monotonic() > end:
            return f"more than {total / 1e9:.1f} GB"
    return f"{total / 1e9:.1f} GB"


def _extras() -> Iterator[Check]:
    for extra in metadata.metadata(_NAME).get_all("Provides-Extra") or []:
        if extra in _OF_DEVELOPERS:
            continue
        missing = [name for name, _ in _requirements(extra) if _version(name) is None]
        if missing:
            advice = f"If you want it: pip install 'kfold-hs[{extra}]'"
            text = f"not installed ({listing(missing)})"
            yield Check("extras", extra, text, "missing", advice)
        else:
            yield Check("extras", extra, "installed")


def _figures() -> Iterator[Check]:
    """What --figures takes beside kaleido: a browser, and fonts that it draws with."""
    found = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None and util.find_spec("choreographer") is not None:  # where kaleido gets one
        from choreographer.cli.defaults import default_download_path

        own = (path for path in Path(default_download_path).glob("chrome*/chrome*"))
        found = next((str(path) for path in own if path.is_file()), None)
    advice = "For --figures only: apt install chromium, or kaleido_get_chrome"
    if found is None:
        yield Check("figures", "browser", "no Chrome or Chromium", "missing", advice)
    elif shutil.which(found) is None:
        yield Check("figures", "browser", f"{found} cannot be started", "missing", advice)
    else:
        yield Check("figures", "browser", found)
    if sys.platform.startswith("linux"):
        fonts = [
            path
            for folder in map(Path, _FONTS)
            for kind in ("ttf", "otf", "pfb", "ttc", "woff2")
            for path in folder.expanduser().glob(f"**/*.{kind}")
        ]
        if fonts:
            yield Check("figures", "fonts", counted(len(fonts), "file"))
        else:
            yield Check("figures", "fonts", "none: figures would have no text", "missing",
                        "For --figures only: apt install fonts-dejavu-core")  # fmt: skip


def _plugins(overrides: Sequence[str]) -> Iterator[Check]:
    """Those that are installed or named; what adds nothing can be used."""
    if overrides:
        try:
            compose(overrides)
            yield Check("settings", "given", "fit")
        except ConfigError as error:
            yield Check("settings", "given", str(error), "missing", "Correct them.", True)
    faults = {}
    for name in installed():
        try:
            plugins.load(name)
        except ConfigError as error:
            faults[name] = str(error)
    found = plugins.found()
    for name, each in found.items():
        if isinstance(each, str):
            faults[name] = each
        else:
            text = f"{', '.join(each.adds)} (SHA-256 {each.sha256[:16]})"
            yield Check("plug-ins", name, text)
    for name, fault in faults.items():
        yield Check("plug-ins", name, fault, "missing", "Correct it, or pip uninstall it.")
    if not found and not faults:
        yield Check("plug-ins", "none", "")


def _state(fits: bool) -> State:
    return "ok" if fits else "missing"
