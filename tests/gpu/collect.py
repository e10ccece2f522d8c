"""What a GPU machine without a package index needs to run the checks: `make gpu-kit`.

    python tests/gpu/collect.py [--python 3.12] [--have FILE] [--data FOLDER] [--bound 62]

into `tests/gpu/kit/`, which git ignores:

    wheels/          what the machine lacks, as wheels for Linux on x86-64
    data/circor/     a share of CirCor's people in the official layout, sample for sample
    lengths_s.json   seconds of every recording of CirCor, so that figures are of its size
    lite0.safetensors    ImageNet weights of EfficientNet-Lite0, filters rounded to float16
    kit.json         what is in it, and what it was made for

What is on the machine is a list of names (`IMAGE`), or the lines of FILE (`pip list
--format=freeze` written there). The share of CirCor is as large as the bound on all that travels,
tracked files included, leaves room for. Prints the sizes; over the bound, nothing is left behind.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parent.parent.parent
KIT = Path(__file__).parent / "kit"
DATA = Path(os.environ.get("KFOLD_HS_DATA", ROOT.parent / "shared"))
MIB = 2**20
MOST_WHEELS_MIB = 30
IMAGE = (
    *("click", "filelock", "jinja2", "lightning", "narwhals", "numpy", "packaging", "pandas"),
    *("pillow", "pip", "pyarrow", "pytest", "pytest-timeout", "pyyaml", "rich", "safetensors"),
    *("scikit-learn", "scipy", "setuptools", "statsmodels", "tensorboard", "timm", "torch"),
    *("torchaudio", "typing-extensions", "wheel"),
)
"""What an image for GPU work was seen to hold; of what these need, nothing is carried."""
SPARE = ("click", "filelock", "narwhals", "rich", "typing-extensions")
"""Small ones of these whose versions there may be too old: pip takes them where they are."""
GLIBC = (39, 35, 34, 31, 28, 27, 24, 17)
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]


def requirements(python: str, have: Iterable[str]) -> dict[str, Requirement]:
    """What is to be carried: setup.cfg's requirements and theirs, less what is there.

    Their own requirements are those of the releases that are installed here.
    """
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    there = {canonicalize_name(name) for name in have}
    environment = {"python_version": python, "extra": ""}
    found: dict[str, Requirement] = {}
    left = [Requirement(line) for line in _lines(setup["options"]["install_requires"])]
    left += [Requirement(name) for name in SPARE]
    while left:
        each = left.pop()
        name = canonicalize_name(each.name)
        if name in found or (name in there and name not in SPARE):
            continue
        if each.marker is not None and not each.marker.evaluate(environment):
            continue
        found[name] = each
        if name not in there:
            left += [Requirement(text) for text in metadata.requires(name) or []]
    return dict(sorted(found.items()))


def pins() -> dict[str, str]:
    """Name -> version: of constraints.txt, else what is installed here."""
    lines = _lines((ROOT / "constraints.txt").read_text())
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def download(python: str, wanted: dict[str, Requirement], folder: Path) -> None:
    """The wheels; of what has none, one that is built here and holds no compiled code."""
    pinned = pins()
    built = []
    for name in wanted:
        version = pinned.get(name) or metadata.version(name)
        words = ["download", "--only-binary=:all:", "--python-version", python]
        words += ["--implementation", "cp", *(w for p in PLATFORMS for w in ("--platform", p))]
        if pip(*words, "-d", str(folder), f"{name}=={version}"):
            built.append(f"{name}=={version}")
    for each in built:
        if text := pip("wheel", "-w", str(folder), each):
            raise SystemExit(f"{each} cannot be had as a wheel for Python {python}: {text}")
    for path in folder.glob("*.whl"):
        if not {"any", *PLATFORMS} & {tag.platform for tag in parse_wheel_filename(path.name)[3]}:
            raise SystemExit(f"{path.name} was built for this machine, and not for Linux on x86-64")


def pip(*words: str) -> str:
    """pip's complaint, if there is one."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", words[0], "--quiet", "--no-deps", *words[1:]],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr.strip()[-500:] if done.returncode else ""


def persons_in_order(root: Path, seed: int = 0) -> Iterator[list[str]]:
    """The patient ids of each person, so that every beginning holds all strata alike."""
    from kfold_hs.cohort.readers.circor import link_persons

    table = pd.read_csv(root / "training_data.csv", dtype=str, keep_default_na=False)
    person_of = link_persons(table["Patient ID"], table["Additional ID"])
    strata: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in table.to_dict("records"):
        person, stratum = person_of[row["Patient ID"]], (row["Murmur"], row["Outcome"])
        of_person = strata.setdefault(stratum, {})
        of_person.setdefault(person, []).append(row["Patient ID"])
    ids: dict[str, list[str]] = {}
    place: dict[str, float] = {}
    rng = random.Random(seed)
    for stratum in sorted(strata):
        people = sorted(strata[stratum])
        rng.shuffle(people)
        for i, person in enumerate(people):
            ids.setdefault(person, []).extend(strata[stratum][person])
            place[person] = min(place.get(person, 1.0), (i + rng.random()) / len(people))
    for person in sorted(ids, key=lambda each: place[each]):
        yield ids[person]


def share(root: Path, target: Path, room: int) -> int:
    """Copy as many persons of CirCor as fit into so many bytes; the number of patients."""
    folder, kept, used = root / "training_data", [], 0
    (target / "training_data").mkdir(parents=True)
    for ids in persons_in_order(root):
        files = [path for pid in ids for path in (folder / f"{pid}.txt", *folder.glob(f"{pid}_*"))]
        size = sum(-(-path.stat().st_size // 1024) * 1024 for path in files)
        if used + size > room:
            break
        used += size
        kept += ids
        for path in files:
            shutil.copyfile(path, target / "training_data" / path.name)
    lines = (root / "training_data.csv").read_text().splitlines(keepends=True)
    table = [line for line in lines[1:] if line.split(",")[0] in set(kept)]
    (target / "training_data.csv").write_text("".join([lines[0], *table]))
    return len(kept)


def lengths_s(root: Path) -> list[float]:
    """Seconds of every recording, from the headers, in the order of the files' names."""
    firsts = [path.read_text().split() for path in sorted((root / "training_data").glob("*.hea"))]
    return [round(int(n_samples) / int(rate_hz), 2) for _, _, rate_hz, n_samples, *_ in firsts]


def write_weights(path: Path) -> None:
    """Weights of EfficientNet-Lite0 with timm's names; what is no filter stays in float32."""
    from safetensors.torch import save_file

    from kfold_hs.cohort import Task
    from kfold_hs.config.schema import ModelConfig
    from kfold_hs.learn.models.network import make_model

    config = ModelConfig(backbone="tf_efficientnet_lite0", weights="package")
    task = Task("murmur", ("Present", "Absent"), "Present", (1.0, 1.0), "mean")
    state = make_model(config, (task,), seed=0).backbone.state_dict()
    save_file({name: x.half() if x.ndim > 1 else x for name, x in state.items()}, path)


def travelling() -> int:
    """Bytes of the project itself: tracked files, and those that git does not ignore."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    paths = [ROOT / name.decode() for name in names if name]
    return sum(path.lstat().st_size for path in paths if path.is_symlink() or path.is_file())


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def collect(given: argparse.Namespace, folder: Path) -> list[str]:
    """Fill a folder; what is in it, in lines."""
    have: Iterable[str] = IMAGE
    if given.have:
        have = [re.split(r"[=<> @]", line)[0] for line in _lines(given.have.read_text())]
    wanted = requirements(given.python, have)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    download(given.python, wanted, wheels)
    parts = {"wheels": size_of(wheels)}
    write_weights(folder / "lite0.safetensors")
    parts["weights of EfficientNet-Lite0"] = size_of(folder) - parts["wheels"]
    parts["the project"] = travelling()
    data, n_patients = given.data / "circor", 0
    if data.is_dir():
        (folder / "lengths_s.json").write_text(json.dumps(lengths_s(data)))
        room = given.bound * MIB - sum(parts.values()) - MIB // 4
        n_patients = share(data, folder / "data" / "circor", room)
        shutil.copyfile(data / "LICENSE.txt", folder / "data" / "circor" / "LICENSE.txt")
        parts[f"CirCor, {n_patients} patients"] = size_of(folder / "data")
    about = {"python": given.python, "wheels": sorted(p.name for p in wheels.glob("*.whl"))}
    (folder / "kit.json").write_text(json.dumps(about | {"n_patients": n_patients}, indent=1))
    total = parts["the project"] + size_of(folder)
    check_sizes(parts["wheels"], total, given.bound)
    lines = [f"{name:32} {n_bytes / MIB:6.1f} MiB" for name, n_bytes in parts.items()]
    if not n_patients:
        lines.append(f"No recordings: {data} is not here; --data FOLDER names the one above it.")
    return [*lines, f"{'together':32} {total / MIB:6.1f} MiB, bound {given.bound}"]


def check_sizes(wheels: int, total: int, bound: int) -> None:
    """Bytes of the wheels and of all that travels, against their bounds."""
    if wheels > MOST_WHEELS_MIB * MIB:
        raise SystemExit(
            f"The wheels have {wheels / MIB:.1f} MiB, and at most {MOST_WHEELS_MIB} are to be "
            "carried: name in --have FILE what the machine has."
        )
    if total > bound * MIB:
        raise SystemExit(
            f"{total / MIB:.1f} MiB would travel, and the bound is {bound}: raise --bound, if the "
            "machine takes more, or name in --have FILE what it has."
        )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.12", help="of the GPU machine")
    parser.add_argument("--have", type=Path, help="names of what is there, a line each")
    parser.add_argument("--data", type=Path, default=DATA, help="holds circor/")
    parser.add_argument("--bound", type=int, default=62, help="MiB of all that travels")
    parser.add_argument("--to", type=Path, default=KIT)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(dir=given.to.parent, prefix=".kit-") as name:
        lines = collect(given, Path(name) / "kit")
        shutil.rmtree(given.to, ignore_errors=True)
        (Path(name) / "kit").rename(given.to)
    print("\n".join([f"{given.to}:", *lines]))


if __name__ == "__main__":
    main()
