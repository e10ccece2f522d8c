"""Searching a user's folder, and whose the recordings are that it holds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from kfold_hs.cohort.audio import inspect_all, read_samples
from kfold_hs.config import compose
from kfold_hs.errors import CohortError
from kfold_hs.paths import file_name
from kfold_hs.ship.inputs import find_patients
from kfold_hs.walk import find_files

DATA = compose(["data=table", "data.path=x.csv"]).data


def sound(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(4000)
    soundfile.write(path, noise, 4000, format="WAV", subtype="PCM_16")
    return path


def names(*inputs: Path) -> dict[str, list[str]]:
    found = find_patients(inputs, DATA)
    return {each.patient_id: [one.recording_id for one in each.sounds] for each in found.patients}


def test_links_are_followed_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a.wav", "b.WAV", "c.Flac", "d.AIFF", "e.mp3", "sub/f.aif", "._a.wav"):
        sound(folder / name)
    sound(folder / "__MACOSX" / "g.wav")
    sound(tmp_path / "elsewhere" / "h.wav")
    (folder / "notes.txt").write_text("x")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    (folder / "sub" / "circle").symlink_to(folder)
    (folder / "same.wav").symlink_to(folder / "a.wav")
    (folder / "gone.wav").symlink_to(folder / "nothing.wav")
    (folder / "other.wav").symlink_to(sound(tmp_path / "k.wav"))
    found = find_files(folder)
    assert [each.relative_to(folder).as_posix() for each in found.files] == [
        "a.wav", "again/h.wav", "b.WAV", "c.Flac", "d.AIFF", "e.mp3", "other.wav", "sub/f.aif",
    ]  # fmt: skip
    left = {reason: len(paths) for reason, paths in found.left_out.items()}
    assert left == {
        "a link to what is there already": 3,
        "a link to nothing": 1,
        "hidden, or a system's own": 2,
        "no recording by its ending": 1,
    }
    assert any("notes.txt" in note for note in found.notes(folder))


def test_one_rule_says_who_is_a_patient(tmp_path: Path) -> None:
    for name in ("P1/rec1.wav", "P2/rec1.wav", "P2/7_AV.wav", "P2/7_MV.wav", "x_tv_2.wav"):
        sound(tmp_path / "rec" / name)
    files = sorted((tmp_path / "rec").rglob("*.wav"))
    table = tmp_path / "list.csv"
    pd.DataFrame({"recording": [f.relative_to(tmp_path) for f in files], "age": "Child"}).to_csv(
        table, index=False
    )
    expected = {
        "P1/rec1": ["rec1"], "P2/rec1": ["rec1"], "7": ["7_AV", "7_MV"], "x": ["x_tv_2"],
    }  # fmt: skip
    assert names(tmp_path / "rec") == expected
    assert names(*files) == expected
    assert names(tmp_path / "rec", *files) == expected
    by_table = find_patients([table], DATA).patients
    assert {each.patient_id: len(each.sounds) for each in by_table} == {
        name: len(each) for name, each in expected.items()
    }
    assert all(each.covariates == {"age": "Child"} for each in by_table)
    assert {one.site for each in by_table for one in each.sounds} == {"AV", "MV", "tv", "unknown"}


HEADER = "{id} 2 4000\nAV {id}_AV.hea {id}_AV.wav {id}_AV.tsv\n#Age: Child\n"


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe2\x005\x00", b"nonsense\n", b"9 1 4000\nAV x"])
def test_a_header_that_cannot_be_read_drops_nobody(tmp_path: Path, damage: bytes) -> None:
    for patient in ("25", "26"):
        sound(tmp_path / f"{patient}_AV.wav")
        (tmp_path / f"{patient}.txt").write_text(HEADER.format(id=patient))
    sound(tmp_path / "27_AV.wav")
    sound(tmp_path / "26_PV.wav")
    (tmp_path / "25.txt").write_bytes(damage)
    (tmp_path / "README.txt").write_text("what this is")
    found = find_patients([tmp_path], DATA)
    by_id = {each.patient_id: each for each in found.patients}
    assert set(by_id) == {"25", "26", "27"}
    assert [one.recording_id for one in by_id["25"].sounds] == ["25_AV"]
    assert "25.txt" in by_id["25"].problem
    assert by_id["26"].problem == ""
    assert any("header does not list" in note and "26_PV" in note for note in found.notes)


def test_a_folder_without_recordings_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").write_text("x")
    with pytest.raises(CohortError, match=r"holds no recording.*notes\.doc"):
        find_patients([tmp_path], DATA)


IDS = [
    "../x", "/etc/x", "a/b", "..", ".", "", " ", ".hidden", "CON", "nul", "a\nb", "a\0b", "a%2Fb",
    "a\\b", "x" * 400, "é" * 200, "~", "-rf", "a.", "a ", "Aux.csv", "C:", "a:b", "\ud800", "%",
]  # fmt: skip


def test_an_id_is_the_name_of_one_file_of_its_own(tmp_path: Path) -> None:
    made = [file_name(each) for each in IDS]
    assert len(set(made)) == len(IDS)
    for name in made:
        path = tmp_path / f"{name}.csv"
        path.write_text(name)
        assert path.resolve().parent == tmp_path.resolve()
    assert len(list(tmp_path.iterdir())) == len(IDS)
    for harmless in ("13918", "p3", "13918_AV", "Ärztin 3", "a=b"):
        assert file_name(harmless) == harmless


def test_a_link_to_what_is_given_adds_nobody(tmp_path: Path) -> None:
    sound(tmp_path / "rec" / "b.wav")
    for link in ("a.wav", "c.wav"):
        (tmp_path / "rec" / link).symlink_to(tmp_path / "rec" / "b.wav")
    files = sorted((tmp_path / "rec").iterdir())
    assert names(*files) == names(tmp_path / "rec") == {"b": ["b"]}
    notes = find_patients(files, DATA).notes
    assert len(notes) == 1
    assert "2 left out (a link to what is there already)" in notes[0]


@pytest.mark.parametrize("name", ["x" * 5000 + ".wav", "x" * 300 + "/a.wav"])
def test_a_name_that_no_disk_takes_is_missing(tmp_path: Path, name: str) -> None:
    table = tmp_path / "list.csv"
    table.write_text(f'recording\n"{name}"\n')
    (patient,) = find_patients([table], DATA).patients
    with pytest.raises(CohortError, match="1 recording is missing"):
        read_samples(patient.sounds[0].path)
    with pytest.raises(CohortError, match="1 recording is missing"):
        inspect_all([patient.sounds[0].path])


def test_a_name_that_is_no_utf_8_becomes_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9_AV.wav"))
    sound(tmp_path / "x.wav").rename(path)
    (patient,) = find_patients([tmp_path], DATA).patients
    (one,) = patient.sounds
    assert (patient.patient_id, one.recording_id, one.site) == ("caf\\udce9", "caf\\udce9_AV", "AV")
    assert len(read_samples(one.path)[0])
