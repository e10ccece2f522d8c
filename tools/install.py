"""Sets up an environment with kfold-hs in it: what `make run` and `make test` do first.

    python tools/install.py [--venv .venv] [--extras weights] [--torch-index INDEX] [--compile]

INDEX, or the environment variable TORCH_INDEX, says where torch comes from:

    (nothing)       the package index: on Linux the build for NVIDIA GPUs, 5 GB of it
    cpu, cu130, ... a build by its name on pytorch.org; it is installed by uv, which knows the place
    auto            the one for the GPU that is seen here, or cpu
    a URL, a folder an index of wheels, or a folder with wheels, that are preferred to others

The releases are those of constraints.txt. What was interrupted is set up anew: pip keeps what was
downloaded. Modules are compiled when they are first loaded, which most never are; with --compile at
once, as tests need it that take a warning for an error. Needs nothing but Python, and runs where
there is no make.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)
ROOM_GB = {True: 2.5, False: 8.0}
"""Free space that is asked for, by whether torch is to be had without CUDA."""


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--venv", type=Path, default=ROOT / ".venv", metavar="DIR")
    words.add_argument("--extras", default="weights", metavar="NAME,...")
    words.add_argument("--torch-index", default=os.environ.get("TORCH_INDEX", ""), metavar="INDEX")
    words.add_argument("--compile", action="store_true")
    given = words.parse_args()
    index = given.torch_index.strip()
    check_host(given.venv, index)
    unfinished = given.venv / ".installing"
    python = environment(given.venv, unfinished)
    unfinished.touch()
    for command in commands(python, given.extras, index, given.compile):
        print("+", subprocess.list2cmdline(command), flush=True)
        if subprocess.run(command, cwd=ROOT).returncode:
            raise SystemExit(advice(given.venv, index))
    if given.compile:  # what was there before; a file of Python 2 among them is no fault
        subprocess.run([str(python), "-m", "compileall", "-q", "-j", "0", str(given.venv)],
                       stdout=subprocess.DEVNULL)  # fmt: skip
    unfinished.unlink()


def check_host(venv: Path, index: str) -> None:
    """What would fail after minutes is told at once."""
    if sys.version_info < OLDEST:
        raise SystemExit(
            f"kfold-hs needs Python {OLDEST[0]}.{OLDEST[1]} or later, and {sys.executable} is "
            f"{sys.version.split()[0]}. Name another: make run PYTHON=python3.12, or "
            "python3.12 tools/install.py"
        )
    try:
        import ensurepip  # noqa: F401
        import venv as _  # noqa: F401
    except ImportError:
        raise SystemExit(
            f"{sys.executable} cannot make environments. On Debian and Ubuntu: "
            f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        ) from None
    if index and "://" not in index and os.sep in index and not Path(index).is_dir():
        raise SystemExit(f"TORCH_INDEX={index}: there is no such folder.")
    if Path(index).is_dir() and index:
        check_wheels(Path(index))
    place = next(each for each in (venv.absolute(), *venv.absolute().parents) if each.exists())
    room, wanted = shutil.disk_usage(place).free / 1e9, ROOM_GB[is_small(index)]
    if not (venv / ".installed").exists() and room < wanted:
        raise SystemExit(
            f"{place} has {room:.1f} GB free, and the installation needs up to {wanted:g} GB. Free "
            "some space, name an environment on another disk (make run VENV=DIR)"
            + ("." if is_small(index) else ", or take torch without CUDA (TORCH_INDEX=cpu).")
        )


def is_small(index: str) -> bool:
    """Whether torch comes without CUDA: by PyPI only for Linux on x86-64 it comes with it."""
    return index == "cpu" or index.rstrip("/").endswith("/cpu") or sys.platform != "linux"


def check_wheels(folder: Path) -> None:
    """Refuse a folder without the releases that are pinned: pip would take others, unasked."""
    pins = re.findall(r"^(torch(?:audio|vision)?)==(\S+)", CONSTRAINTS.read_text("utf-8"), re.M)
    for name, version in pins:
        there = sorted(each.name.split("-")[1] for each in folder.glob(f"{name}-*.whl"))
        if version not in (each.partition("+")[0] for each in there):
            raise SystemExit(
                f"TORCH_INDEX={folder} has {' and '.join(there) or 'no release'} of {name}, and "
                f"constraints.txt asks for {version}: pip would take that from the package index, "
                f"with CUDA on Linux. Put the wheel of {name} {version} there, or change that line."
            )


def environment(venv: Path, unfinished: Path) -> Path:
    """The Python of the environment; one that an interrupted installation left is made anew."""
    bin_folder = venv / ("Scripts" if os.name == "nt" else "bin")
    python = bin_folder / ("python.exe" if os.name == "nt" else "python")
    words = ["--clear"] if unfinished.exists() else []
    if words:
        print(f"An installation into {venv} was interrupted: it is done again.", flush=True)
    if words or not python.exists():
        subprocess.run([sys.executable, "-m", "venv", *words, str(venv)], check=True)
    return python


def commands(python: Path, extras: str, index: str, compiled: bool = False) -> list[list[str]]:
    """What is run, one after the other."""
    pip = [str(python), "-m", "pip", "install", "--progress-bar", "on", "--retries", "8"]
    pip += [] if compiled else ["--no-compile"]
    what = ["-c", "constraints.txt", "-e", f".[{extras}]" if extras else "."]
    # 25.2 goes on with a broken download.
    first = [*pip, "--upgrade", "pip>=25.2", "setuptools"]
    if not index:
        return [first, [*pip, *what]]
    if "://" in index:
        return [first, [*pip, "--extra-index-url", index, *what]]
    if Path(index).is_dir():
        return [first, [*pip, "--find-links", index, *what]]
    uv = [str(python), "-m", "uv", "pip", "install", "--python", str(python)]
    return [[*first, "uv"], [*uv, "--torch-backend", index, *what]]


def advice(venv: Path, index: str) -> str:
    """What to do after pip's own words."""
    again = "make run" if not index else f"make run TORCH_INDEX={index}"
    return (
        f"\nThe installation did not finish; the lines above say why.\n"
        f"- No connection, or a broken download: repeat `{again}`. What was downloaded is kept.\n"
        "- No connection to the package index at all: set PIP_INDEX_URL, or HTTPS_PROXY.\n"
        "- 'No matching distribution': this Python or this index has no such wheel; Python 3.11 to "
        "3.14 have (make run PYTHON=python3.12), and docs/install.md says which indexes.\n"
        f"- 'No space left': free some, or VENV=DIR on another disk. {venv} can be removed."
    )


if __name__ == "__main__":
    main()
