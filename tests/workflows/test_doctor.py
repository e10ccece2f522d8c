"""`kfold-hs doctor`: what is here and fits, what to do, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.project import kfold_hs

from kfold_hs.workflows import doctor
from kfold_hs.workflows.doctor import Check, examine


def by_name(checks: list[Check]) -> dict[tuple[str, str], Check]:
    return {(each.group, each.name): each for each in checks}


def test_this_machine_can_run(tmp_path: Path) -> None:
    done = kfold_hs("doctor", "--json", "--root", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    content = json.loads(done.stdout)
    assert content["is_ready"] is True
    found = {(each["group"], each["name"]): each for each in content["checks"]}
    for name in ("torch", "torchvision", "torchaudio", "soundfile"):
        assert found["libraries", name]["state"] == "ok"
    assert str(tmp_path) in found["folders", "results"]["found"]
    assert {each["state"] for each in content["checks"]} <= {"ok", "look", "missing"}
    for each in content["checks"]:
        assert bool(each["advice"]) == (each["state"] != "ok"), each
    done = kfold_hs("doctor", cwd=tmp_path)
    assert done.stdout.endswith("kfold-hs run can work.\n")


def test_a_folder_that_cannot_be_written_to_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "file" / "cache"))
    done = kfold_hs("doctor", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'file'} is a file" in done.stdout
    assert "KFOLD_HS_CACHE=DIR names another folder" in done.stdout
    assert done.stdout.endswith("kfold-hs run does not work here: cache.\n")


def test_settings_that_do_not_fit_are_broken(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("optim:\n  lr: -1\n")
    done = kfold_hs("doctor", "-c", "study.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "study.yaml, line 2" in done.stdout


def test_what_is_not_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    versions = {"timm": None, "optuna": None, "numpy": "1.0", "torchvision": "0.1"}
    true = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, true(name)))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "_FONTS", (str(tmp_path),))
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "_DRIVER", tmp_path)  # as if an NVIDIA driver were here
    for name in ("BROWSER_PATH", "CXX"):
        monkeypatch.delenv(name, raising=False)
    found = by_name(examine(root=tmp_path))
    assert found["versions", "timm"].is_broken
    assert "pip install 'timm>=" in found["versions", "timm"].advice
    assert found["versions", "numpy"].state == "look"
    assert not found["extras", "tune"].is_broken
    assert "kfold-hs[tune]" in found["extras", "tune"].advice
    assert found["figures", "browser"].state == found["figures", "fonts"].state == "missing"
    assert found["devices", "compiler"].state == "missing"
    import torch

    if not torch.cuda.is_available():
        assert found["devices", "GPU"].state == "look"


def test_libraries_that_do_not_load_or_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor, "import_module", broken)
    found = list(doctor._libraries())
    assert all(each.is_broken for each in found[:4])
    assert "pip install -U torch torchvision torchaudio" in found[1].advice
    monkeypatch.undo()
    true = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda n: "2.0.1" if n == "torch" else true(n))
    looked = [each for each in doctor._libraries() if each.state == "look"]
    assert [each.name for each in looked][:1] == ["torchvision and torch"]


def test_a_full_disk_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kfold_hs.files.room.free_bytes", lambda folder: 1_000)
    (check,) = (each for each in doctor._folders(tmp_path) if each.name == "results")
    assert check.is_broken
    assert "MB left" in check.found
