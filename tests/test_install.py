"""`make run` sets up an environment: from where, what it refuses, what it says when it fails."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections import namedtuple
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
assert _spec is not None
assert _spec.loader is not None
install = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(install)


@pytest.fixture(autouse=True)
def free_gb(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What a disk is said to have: the disk of who runs the tests decides nothing."""
    said = {"all": 100.0}
    use = namedtuple("Use", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: use(int(said["all"] * 1e9)))
    return said


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("", []),
        ("https://index.example/cpu", ["--extra-index-url", "https://index.example/cpu"]),
        ("FOLDER", ["--find-links", "FOLDER"]),
    ],
)
def test_pip_takes_torch_from_where_it_is_told(
    index: str, words: list[str], tmp_path: Path
) -> None:
    index = index.replace("FOLDER", str(tmp_path))
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    first, last = install.commands(Path("py"), "weights", index)
    assert first[:4] == last[:4] == ["py", "-m", "pip", "install"]
    assert [*words, "-c", "constraints.txt", "-e", ".[weights]"] == last[-len(words) - 4 :]
    assert "uv" not in first


def test_a_build_is_named_to_uv() -> None:
    first, last = install.commands(Path("py"), "", "cpu")
    assert first[-1] == "uv"
    assert last[:4] == ["py", "-m", "uv", "pip"]
    assert last[-6:] == ["--torch-backend", "cpu", "-c", "constraints.txt", "-e", "."]


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "OLDEST", (9, 0))
    with pytest.raises(SystemExit, match=r"needs Python 9\.0 or later.*PYTHON="):
        install.check_host(tmp_path / "venv", "")


@pytest.mark.parametrize(("index", "way_out"), [("", "TORCH_INDEX=cpu"), ("cpu", "another disk")])
def test_a_full_disk_is_told_first(
    index: str,
    way_out: str,
    free_gb: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    free_gb["all"] = 1.0
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SystemExit, match=f"1.0 GB free.*{way_out}"):
        install.check_host(tmp_path / "venv", index)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / ".installed").touch()  # most of it is there
    install.check_host(tmp_path / "venv", index)


def test_a_folder_of_wheels_that_is_not_there_is_no_name_of_a_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such folder"):
        install.check_host(tmp_path / "venv", str(tmp_path / "wheels"))


def test_a_folder_must_hold_the_releases_that_are_pinned(tmp_path: Path) -> None:
    """pip would take a newer torch from the package index, with CUDA."""
    pins = dict(re.findall(r"^(torch\w*)==(\S+)", install.CONSTRAINTS.read_text(), re.MULTILINE))
    for name in ("torch", "torchaudio", "torchvision"):
        (tmp_path / f"{name}-1.0.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    with pytest.raises(SystemExit, match=rf"has 1\.0\.0\+cpu of torch, .* {pins['torch']}"):
        install.check_host(tmp_path / "venv", str(tmp_path))
    for name in ("torch", "torchaudio", "torchvision"):
        (tmp_path / f"{name}-{pins[name]}+cpu-cp311-cp311-linux_x86_64.whl").touch()
    install.check_host(tmp_path / "venv", str(tmp_path))


def test_what_was_interrupted_is_made_anew_and_a_failure_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venv, calls = tmp_path / "venv", []
    codes = {"venv": 0, "pip": 1}

    def run(command: list[str], **words: Any) -> SimpleNamespace:
        calls.append(command[1:])
        if command[2] == "venv":
            venv.mkdir(exist_ok=True)
        return SimpleNamespace(returncode=codes[command[2]])

    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["install.py", "--venv", str(venv)])
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    with pytest.raises(SystemExit, match=r"(?s)did not finish.*repeat `make run`.*PIP_INDEX_URL"):
        install.main()
    assert calls[0] == ["-m", "venv", str(venv)]
    assert (venv / ".installing").exists()
    codes["pip"] = 0
    calls.clear()
    install.main()
    assert "was interrupted" in capsys.readouterr().out
    assert calls[0] == ["-m", "venv", "--clear", str(venv)]
    assert len(calls) == 3
    assert not (venv / ".installing").exists()


def test_pythons_that_are_declared_are_those_of_the_docs() -> None:
    declared = re.findall(r"Python :: (3\.\d+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    (tried,) = re.findall(
        r"^\| Python +\| ([^|]*) \|", (ROOT / "docs/install.md").read_text(), re.M
    )
    assert re.findall(r"3\.\d+", tried) == declared
    assert declared[0] == f"{install.OLDEST[0]}.{install.OLDEST[1]}"
    image = re.findall(r"^ARG PYTHON=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(image) <= set(declared)


def test_the_image_copies_what_is_not_left_out() -> None:
    """`.dockerignore` leaves everything out, and names what comes in."""
    taken = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copies = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = [word for line in copies for word in line.split()]
    assert sorted(copied) == sorted(taken)
    assert all((ROOT / name).exists() for name in copied)


def test_the_pinned_releases_fit_one_another() -> None:
    """A pin that a library refuses keeps pip searching for hours, on a clean clone alone."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    )
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    asked = [
        (each.metadata["Name"], Requirement(text))
        for each in metadata.distributions()
        for text in each.requires or ()
    ]
    wanted = [
        (name, each, pins[canonicalize_name(each.name)])
        for name, each in asked
        if canonicalize_name(each.name) in pins
        and (each.marker is None or each.marker.evaluate({"extra": ""}))
    ]
    assert len(wanted) > 100
    refused = [
        f"{name} wants {each}, and {pin} is pinned"
        for name, each, pin in wanted
        if not each.specifier.contains(pin, prereleases=True)
    ]
    assert not refused
