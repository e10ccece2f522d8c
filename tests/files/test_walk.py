"""Searching a user's folder, and whose the recordings are that it holds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from kfold_hs.bundle.inputs import find_patients
from kfold_hs.cohort.audio import inspect_all, read_samples
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError
from kfold_hs.files.paths import file_name
from kfold_hs.files.walk import find_files

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
    (folder / "a.tsv").write_text("the heart cycle of a.wav")
    (folder / "z.tsv").write_text("of nothing")
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
        "a link to a file or folder that was found": 3,
        "a broken link": 1,
        "hidden, or a file of the operating system": 2,
        "not the suffix of a recording": 2,
    }
    assert any("notes.txt, z.tsv" in note for note in found.notes(folder))


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
    assert "2 left out (a link to a file or folder that was found)" in notes[0]


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


def test_a_note_beside_recordings_is_no_header(tmp_path: Path) -> None:
    for name in ("anna_AV.wav", "anna_MV.wav", "rec1.wav"):
        sound(tmp_path / name, seed=len(name))
    notes = {
        "anna.txt": "anna was restless\nand cried\n", "rec1.txt": "rec1\n", "1.txt": "1 thing\n",
        "README.txt": "README of all\n", "7.txt": "7 2 days later\n", "a b.txt": "a b\n",
    }  # fmt: skip
    for name, text in notes.items():
        (tmp_path / name).write_text(text)
    assert names(tmp_path) == {"anna": ["anna_AV", "anna_MV"], "rec1": ["rec1"]}
    assert not any(each.problem for each in find_patients([tmp_path], DATA).patients)
    sound(tmp_path / "25_AV.wav")
    (tmp_path / "25.txt").write_text(HEADER.format(id=25))
    found = find_patients([tmp_path], DATA)
    assert {each.patient_id for each in found.patients} == {"25", "anna", "rec1"}
    (note,) = [each for each in found.notes if "no header of a patient" in each]
    assert note.startswith("6 left out")


def test_columns_by_the_runs_names_or_by_ours(tmp_path: Path) -> None:
    for i in range(2):
        sound(tmp_path / f"r{i}.wav", seed=i)
    data = compose(
        ["data=table", "data.path=x.csv", "data.recording_column=file",
         "data.patient_column=subject", "data.person_column=who", "data.site_column=place"]
    ).data  # fmt: skip
    table = tmp_path / "list.csv"
    for head in ("file,subject,who,place", "recording,patient_id,person_id,site",
                 "file,patient_id,who,site"):  # fmt: skip
        table.write_text(f"{head}\nr0.wav,a,1,AV\nr1.wav,a,1,MV\n")
        (patient,) = find_patients([table], data).patients
        assert (patient.patient_id, patient.persons) == ("a", ("1",))
        assert [each.site for each in patient.sounds] == ["AV", "MV"]
        assert patient.covariates == {}
    table.write_text("recording,Patient_ID\nr0.wav,a\nr1.wav,a\n")
    found = find_patients([table], data)
    assert [each.patient_id for each in found.patients] == ["r0", "r1"]
    assert any("no column of patients" in note for note in found.notes)


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    sound(tmp_path / "r0.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "r0.wav")
    table = tmp_path / "list.csv"
    rows = "".join(f"{name},a\n" for name in ("r0.wav", "./r0.wav", "r0.wav", "link.wav"))
    table.write_text(f"recording,patient_id\n{rows}")
    found = find_patients([table], DATA)
    assert len(found.patients[0].sounds) == 1
    assert any(note.startswith("3 left out (a recording that") for note in found.notes)


def test_an_id_that_says_missing_is_told(tmp_path: Path) -> None:
    sound(tmp_path / "r0.wav")
    (tmp_path / "list.csv").write_text("recording,patient_id\nr0.wav,.\n")
    with pytest.raises(CohortError, match=r"line 2 \('\.' counts as missing\)"):
        find_patients([tmp_path / "list.csv"], DATA)


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    sound(tmp_path / "r0.wav")
    (tmp_path / "list.csv").write_text("recording;patient_id;height\nr0.wav;1,001;1,625\n")
    (patient,) = find_patients([tmp_path / "list.csv"], DATA).patients
    assert (patient.patient_id, patient.covariates) == ("1,001", {"height": "1.625"})
