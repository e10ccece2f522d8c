"""The copy of a folder: whole at any moment, had back, and never overwritten by another machine."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from pathlib import Path

import pytest

from kfold_hs.errors import StorageError
from kfold_hs.files.atomic import checksum_file, write_json, write_text, writing
from kfold_hs.files.folder_copy import FolderCopy, Restored
from kfold_hs.files.stored import read_json


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of results: files at its top, in a folder, and below one that has none."""
    folder = tmp_path / "runs"
    write_text(folder / "notes.txt", "top")
    write_json(folder / "reports" / "a" / "summary.json", {"value": 1})
    for fold in range(2):
        write_text(folder / "checkpoints" / "a" / f"r0-s0-f{fold}" / "last.pt", f"fold {fold}")
    return folder


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    folder = tmp_path / "drive"
    folder.mkdir()
    return folder / "runs"


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: text for name, text in names.items() if ".copied.json" not in name}


def numbers(target: Path, name: str) -> list[int]:
    found = []
    for slot in ("copy-1.zip", "copy-2.zip"):
        if (target / name / slot).exists():
            with zipfile.ZipFile(target / name / slot) as archive:
                found.append(json.loads(archive.comment)["number"])
    return found


def test_another_machine_has_it_back(here: Path, drive: Path, tmp_path: Path) -> None:
    names = (".", "checkpoints/a/r0-s0-f0", "checkpoints/a/r0-s0-f1", "reports/a")
    saved = FolderCopy(here, drive).save()
    assert saved.folders == names
    assert saved.n_bytes == sum(path.stat().st_size for path in drive.rglob("*.zip"))
    there = tmp_path / "other" / "runs"
    assert FolderCopy(there, drive).restore() == Restored(names, ())
    assert content(there) == content(here)
    assert read_json(there / "reports/a/summary.json", "it") == {"value": 1}
    assert checksum_file(there / "reports/a/summary.json").is_file()


def test_only_what_changed_is_written_in_turn(here: Path, drive: Path) -> None:
    kept, name = FolderCopy(here, drive), "checkpoints/a/r0-s0-f0"
    kept.save()
    assert kept.save().folders == FolderCopy(here, drive).save().folders == ()
    for number in (2, 3, 4):
        write_text(here / name / "last.pt", f"epoch {number}")
        assert kept.save().folders == (name,)
        assert sorted(numbers(drive, name)) == [number - 1, number]
    assert numbers(drive, "reports/a") == [1]
    os.utime(here / "notes.txt", (1, 1))  # touched, not changed
    assert kept.save().folders == ()


def test_a_copy_that_was_cut_off(here: Path, drive: Path, tmp_path: Path) -> None:
    kept, name = FolderCopy(here, drive), "checkpoints/a/r0-s0-f0"
    kept.save()
    write_text(here / name / "last.pt", "epoch 2")
    kept.save()
    newest = drive / name / "copy-2.zip"
    whole = newest.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(b"epoch 2", b"epoch X"), b""):
        newest.write_bytes(damaged)
        there = tmp_path / str(len(damaged)) / str(damaged.count(b"X"))
        again = FolderCopy(there, drive)
        assert name in again.restore().folders
        assert (there / name / "last.pt").read_text() == "fold 0"
    (drive / "reports/a/copy-1.zip").write_bytes(b"PK")
    found = FolderCopy(tmp_path / "last", drive).restore()
    assert found.damaged == ("reports/a",)
    assert len(found.folders) == 3


def test_what_is_here_stays_and_is_saved(here: Path, drive: Path) -> None:
    FolderCopy(here, drive).save()
    write_text(here / "reports/a/report.html", "newer")
    again = FolderCopy(here, drive)  # the process was started anew, the machine was not
    assert again.restore() == Restored((), ())
    assert (here / "reports/a/report.html").read_text() == "newer"
    assert again.save().folders == ("reports/a",)


def test_two_machines_do_not_overwrite_each_other(here: Path, drive: Path, tmp_path: Path) -> None:
    name, there = "checkpoints/a/r0-s0-f0", tmp_path / "there"
    first, second = FolderCopy(here, drive), FolderCopy(there, drive)
    first.save()
    second.restore()
    write_text(there / name / "last.pt", "epoch 9")
    second.save()
    write_text(here / name / "last.pt", "epoch 2")
    with pytest.raises(StorageError, match=r"r0-s0-f0 hold different files.*another session"):
        first.save()
    alien = tmp_path / "alien"
    write_text(alien / name / "last.pt", "begun without the copy")
    with pytest.raises(StorageError, match=r"neither was made from the other.*remove"):
        FolderCopy(alien, drive).restore()
    (alien / name / "last.pt").write_text("epoch 9")  # the same files are no conflict
    assert name not in FolderCopy(alien, drive).restore().folders
    assert numbers(drive, name) == [1, 2]


def test_what_is_half_written_and_locks_are_left_out(here: Path, drive: Path) -> None:
    (here / "checkpoints/a/.r0-s0-f0.lock").touch()
    with writing(here / "reports/a/report.html") as temporary:
        temporary.write_text("half")
        FolderCopy(here, drive).save()
    with zipfile.ZipFile(drive / "reports/a/copy-1.zip") as archive:
        assert archive.namelist() == [".sha256/summary.json.sha256", "summary.json"]
    assert not (drive / "checkpoints/a/copy-1.zip").exists()


def test_a_folder_that_changes_all_the_time_is_counted(here: Path, drive: Path) -> None:
    end, path = threading.Event(), here / "reports/a/log"

    def write() -> None:
        with path.open("a", buffering=1) as file:
            while not end.is_set():
                file.write("again\n")

    write_text(path, "first")
    (here / "reports/a/large").write_bytes(bytes(1 << 25))  # so that packing takes a while
    writer = threading.Thread(target=write)
    writer.start()
    try:
        saved = FolderCopy(here, drive).save()
    finally:
        end.set()
        writer.join()
    assert saved.busy == ("reports/a",)
    assert len(saved.folders) == 3
    assert FolderCopy(here, drive).save().folders == ("reports/a",)


def test_an_existing_folder_without_files_is_filled(
    here: Path, drive: Path, tmp_path: Path
) -> None:
    FolderCopy(here, drive).save()
    there = tmp_path / "there"
    (there / "reports/a/tensorboard").mkdir(parents=True)
    FolderCopy(there, drive).restore()
    assert content(there) == content(here)


def test_places_that_cannot_hold_a_copy(here: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"drive/MyDrive does not exist. Mount the disk first"):
        FolderCopy(here, tmp_path / "drive/MyDrive/runs")
    with pytest.raises(StorageError, match="one lies in the other"):
        FolderCopy(here, here / "copy")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        FolderCopy(here, tmp_path / "file")


def test_names_that_lead_elsewhere_are_not_unpacked(
    here: Path, drive: Path, tmp_path: Path
) -> None:
    FolderCopy(here, drive).save()
    slot = drive / "reports/a/copy-1.zip"
    with zipfile.ZipFile(slot, "w") as archive:
        archive.writestr("../../escaped", "x")
        archive.comment = b'{"number": 1}'
    found = FolderCopy(tmp_path / "there", drive).restore()
    assert found.damaged == ("reports/a",)
    assert not list(tmp_path.rglob("escaped"))
