"""Loaders on real files and on broken ones; the laws of a cohort."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.project import TINY

from kfold_hs.bundle.inputs import find_patients
from kfold_hs.cohort import Cohort, Task
from kfold_hs.cohort.audio import inspect, read_samples
from kfold_hs.cohort.readers.circor import link_persons
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError

Edit = Callable[[Callable[[pd.DataFrame], pd.DataFrame]], Path]


def load_circor(root: Path) -> Cohort:
    return read_cohort(compose(["data=circor", f"data.root={root}"]).data)


def load_table(path: Path, *more: str) -> Cohort:
    return read_cohort(compose([*TINY, f"data.path={path}", *more]).data)


# --- CirCor -----------------------------------------------------------------------------------


def test_circor_share(circor: Path) -> None:
    cohort = load_circor(circor)
    assert (cohort.n_patients, cohort.n_recordings, cohort.n_persons) == (471, 1609, 436)
    counts = {task["name"]: task["counts"] for task in cohort.describe()["tasks"]}
    assert counts["murmur"] == {"Present": 90, "Unknown": 33, "Absent": 348}
    assert counts["outcome"] == {"Abnormal": 229, "Normal": 242}
    notes = {note.name: note.count for note in cohort.notes}
    assert notes == {"linked patients": 35, "clipped recordings": 7}
    # Patient 23625 was seen again as 50379: one person, two patients.
    assert cohort.person_of["23625"] == cohort.person_of["50379"] == "23625"


def test_a_present_patient_is_absent_where_nothing_is_heard(circor_wav: Path) -> None:
    recordings = load_circor(circor_wav).recordings.set_index("recording_id")
    assert recordings.loc["13918_TV", "murmur"] == "Present"
    assert recordings.loc["13918_AV", "murmur"] == "Absent"
    assert pd.isna(recordings.loc["2530_AV", "murmur"])  # Absent patient: the label stands


def test_wav_and_flac_of_a_recording_are_the_same(circor: Path, circor_wav: Path) -> None:
    flac = inspect(circor / "training_data" / "13918_TV.flac")
    wav = inspect(circor_wav / "training_data" / "13918_TV.wav")
    assert flac == wav


def test_linked_ids_are_followed_through_any_number_of_steps() -> None:
    ids, links = ["5", "40", "3", "77", "8"], ["40", "nan", "999", "999", "nan"]
    assert link_persons(ids, links) == {"5": "5", "40": "5", "3": "3", "77": "3", "8": "8"}


@pytest.mark.parametrize(("word", "n"), [("unknown", 2), ("no", 4), ("0", 2), ("999", 3)])
def test_a_word_for_nobody_makes_nobody_one_person(word: str, n: int) -> None:
    links = [word] * n + ["nan"] * (4 - n)
    with pytest.raises(CohortError, match=f"Additional ID is '{word}' for {n} patients"):
        link_persons(["5", "40", "3", "77"], links)


@pytest.fixture
def small(circor_wav: Path, tmp_path: Path) -> Path:
    root = tmp_path / "circor"
    shutil.copytree(circor_wav, root)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def change_csv(root: Path, patient: str, column: str, value: str) -> None:
    path = root / "training_data.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[table["Patient ID"] == patient, column] = value
    table.to_csv(path, index=False)


def test_circor_recordings_that_nobody_lists_are_counted(small: Path) -> None:
    folder = small / "training_data"
    (folder / "99999_AV.wav").write_bytes(b"")
    (folder / "._13918_AV.wav").write_bytes(b"")
    found = {note.name: note.items for note in load_circor(small).notes}
    assert found["recordings of nobody"] == ("99999_AV.wav",)


def test_circor_csv_and_headers_are_compared(small: Path) -> None:
    change_csv(small, "13918", "Murmur", "Absent")
    with pytest.raises(CohortError, match=r"13918: Murmur is 'Absent' .* 'Present' in 13918\.txt"):
        load_circor(small)


def test_circor_locations_are_compared(small: Path) -> None:
    change_csv(small, "13918", "Recording locations:", "AV+MV")
    with pytest.raises(CohortError, match=r"13918: the sites are AV\+MV in"):
        load_circor(small)


def test_circor_unknown_label(small: Path) -> None:
    change_csv(small, "13918", "Outcome", "Sick")
    header = small / "training_data" / "13918.txt"
    header.write_text(header.read_text().replace("#Outcome: Abnormal", "#Outcome: Sick"))
    with pytest.raises(CohortError, match=r"outcome of patient 13918 is 'Sick'.*Abnormal"):
        load_circor(small)


def test_circor_repeated_patient(small: Path) -> None:
    path = small / "training_data.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[3]]) + "\n")
    with pytest.raises(CohortError, match="13918 occurs more than once"):
        load_circor(small)


def test_circor_missing_recordings_are_all_named(small: Path) -> None:
    (small / "training_data" / "13918_TV.wav").unlink()
    (small / "training_data" / "2530_AV.wav").unlink()
    with pytest.raises(CohortError, match=r"2 recordings are missing: .*13918_TV|2530_AV"):
        load_circor(small)


def test_circor_cut_recording(small: Path) -> None:
    path = small / "training_data" / "13918_TV.wav"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(CohortError, match=r"13918_TV\.wav is cut short"):
        load_circor(small)


def test_circor_other_rate_than_the_header_says(small: Path) -> None:
    path = small / "training_data" / "13918_TV.wav"
    samples, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples, 2000)
    with pytest.raises(CohortError, match=r"has 2000 Hz, but its header says 4000 Hz"):
        load_circor(small)


def test_circor_other_length_than_the_header_says(small: Path) -> None:
    path = small / "training_data" / "13918_TV.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[:-7], rate)
    with pytest.raises(CohortError, match="samples, but its header says"):
        load_circor(small)


def test_circor_at_the_wrong_place(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"data\.root must be the folder"):
        load_circor(tmp_path)


def saved_again(root: Path, **words: str) -> None:
    """training_data.csv as a spreadsheet saves it: TRUE, blanks, 20.00, ids with decimals."""
    path = root / "training_data.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False).replace("nan", "")
    table["Pregnancy status"] = table["Pregnancy status"].str.upper()
    decimal = words.pop("decimal", ".")
    for column in ("Height", "Weight"):
        table[column] = [
            f"{float(cell):.2f}".replace(".", decimal) if cell else "" for cell in table[column]
        ]
    table["Patient ID"] = table["Patient ID"] + ".0"
    table.to_csv(path, index=False, **words)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "words",
    [{}, {"sep": ";", "decimal": ","}, {"sep": "\t", "encoding": "utf-16"},
     {"encoding": "utf-8-sig", "lineterminator": "\r\n"}],
    ids=str,
)  # fmt: skip
def test_circor_saved_again_by_a_spreadsheet(
    circor_wav: Path, small: Path, words: dict[str, str]
) -> None:
    saved_again(small, **words)
    plain, cohort = load_circor(circor_wav), load_circor(small)
    assert cohort.fingerprint == plain.fingerprint
    assert cohort.n_persons == plain.n_persons  # a blank Additional ID joins nobody
    pd.testing.assert_frame_equal(cohort.patients, plain.patients)
    assert cohort.notes == plain.notes


def test_circor_headers_in_other_encodings_and_an_odd_number(small: Path) -> None:
    folder = small / "training_data"
    for patient, encoding in (("2530", "utf-16"), ("13918", "cp1252"), ("9983", "utf-8-sig")):
        header = folder / f"{patient}.txt"
        header.write_bytes((header.read_text() + "#Comment: Größe\r\n").encode(encoding))
    header = folder / "2530.txt"
    header.write_text(header.read_text("utf-16").replace("98.0", "98 cm"), "utf-16")
    change_csv(small, "2530", "Height", "98 cm")
    cohort = load_circor(small)
    assert [(n.name, n.items) for n in cohort.notes if n.name == "odd cells"] == [
        ("odd cells", ("height_cm of 2530: '98 cm'",))
    ]
    # To be predicted, they keep what cannot be read: the row says so, and nobody is left out.
    patients = {each.patient_id: each for each in find_patients([small], compose().data).patients}
    assert patients["13918"].problem == ""
    assert patients["9983"].covariates["weight_kg"] == 19.1


# --- CinC 2016 --------------------------------------------------------------------------------


def test_cinc2016_sample(cinc2016: Path) -> None:
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={cinc2016}"]).data)
    assert cohort.n_recordings == 86
    assert set(cohort.recordings["sample_rate_hz"]) == {2000}
    assert cohort.patients["source"].value_counts().to_dict() == {
        "training-d": 55,
        "training-c": 31,
    }
    assert [note.name for note in cohort.notes] == ["unknown persons"]
    one = read_cohort(compose(["data=cinc2016", f"data.root={cinc2016 / 'training-c'}"]).data)
    assert one.n_recordings == 31


def test_cinc2016_unknown_label(cinc2016: Path, tmp_path: Path) -> None:
    reference = (cinc2016 / "training-c" / "REFERENCE.csv").read_text()
    (tmp_path / "REFERENCE.csv").write_text(reference.replace("c0001,1", "c0001,0"))
    with pytest.raises(CohortError, match=r"line 1: the label of c0001 is '0'"):
        read_cohort(compose(["data=cinc2016", f"data.root={tmp_path}"]).data)


def two_signals(root: Path, first_line: str, *signals: str, rate: int = 2000) -> Path:
    """A part of the challenge with two recordings, their headers as given ({0} is the name)."""
    part = root / "training-a"
    part.mkdir()
    for name, seed in (("a0001", 1), ("a0002", 2)):
        samples = 0.1 * np.random.default_rng(seed).standard_normal(4000)
        soundfile.write(part / f"{name}.wav", samples, rate, subtype="PCM_16")
        lines = [first_line, *signals, "# Abnormal"]
        (part / f"{name}.hea").write_text("\r\n".join(lines).format(name))
    (part / "REFERENCE.csv").write_bytes(b'\xef\xbb\xbf"a0001",1\r\n\r\na0002 ,-1.0\r\n')
    return root


WAV, ECG = "{0}.wav 16+44 1 16 0 0 0 0 PCG", "{0}.dat 16 1000/mV 16 0 0 1 0 ECG"


@pytest.mark.parametrize(
    ("first_line", "signals"),
    [
        ("{0} 2 2000 4000", (WAV, ECG)),
        ("# made by somebody\r\n\r\n{0} 2 2000 4000 12:30:00 01/02/2003", (ECG, WAV)),
        ("{0} 2 2000/500(0) 4000", (ECG, "{0}.wav 16x1:3+44 1(0)/mV 16 0 0 0 0 heart sounds")),
        ("{0} 2 2000.0 4000", (ECG, "{0}.wav 16")),
        ("{0} 2 1000 2000", ("{0}.wav 16x2 1 16 0 0 0 0 PCG", ECG)),
        ("{0} 2 2000", (ECG, WAV)),
        ("{0} 1 2000 0", (WAV,)),
        ("{0} 1 2000 4000", ()),
        ("{0} 1", (WAV,)),
        ("{0} 2 2000 4000", ("{0}.dat 16 1 16 0 0 0 0 PCG II", "{0}.dat 16 1 16 0 0 0 0 ECG")),
    ],
)
def test_headers_of_several_signals(
    tmp_path: Path, first_line: str, signals: tuple[str, ...]
) -> None:
    root = two_signals(tmp_path, first_line, *signals)
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={root}"]).data)
    assert cohort.patients["outcome"].tolist() == ["Abnormal", "Normal"]
    assert [note.name for note in cohort.notes] == ["unknown persons"]


@pytest.mark.parametrize(
    ("first_line", "signals", "match"),
    [
        ("", (), "not a name and a number of signals"),
        ("{0}", (), "not a name and a number of signals"),
        ("{0} two 2000", (), "number of signals is 'two'"),
        ("{0} " + "1" * 5000 + " 2000", (), "number of signals"),
        ("{0}/3 2 2000 4000", (), "3 segments"),
        ("{0} 2 2000 4000", (), "describes none"),
        ("{0} 2 2000 4000", (WAV,), "1 of 2 signals"),
        ("{0} 2 2000 4000", (ECG, ECG), "may be the phonocardiogram: ECG, ECG"),
        ("{0} 1 fast 4000", (WAV,), "rate is 'fast'"),
        ("{0} 1 2000 4000", ("{0}.wav wav",), "format 'wav'"),
        ("{0} 1 2000 4001", (WAV,), r"has 4000 samples, but its header says 4001"),
        ("{0} 1 1000 4000", (WAV,), r"has 2000 Hz, but its header says 1000"),
    ],
)
def test_headers_that_do_not_fit(
    tmp_path: Path, first_line: str, signals: tuple[str, ...], match: str
) -> None:
    root = two_signals(tmp_path, first_line, *signals)
    with pytest.raises(CohortError, match=match):
        read_cohort(compose(["data=cinc2016", f"data.root={root}"]).data)


def test_the_audio_that_a_header_names(tmp_path: Path) -> None:
    root = two_signals(tmp_path, "{0} 2 2000 4000", "{0}_pcg.wav 16 1 16 0 0 0 0 PCG", ECG)
    part = root / "training-a"
    for name in ("a0001", "a0002"):
        (part / f"{name}.wav").rename(part / f"{name}_pcg.wav")
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={root}"]).data)
    assert [Path(each).name for each in cohort.recordings["path"]] == [
        "a0001_pcg.wav", "a0002_pcg.wav",
    ]  # fmt: skip
    shutil.copy(part / "a0001_pcg.wav", part / "a0001.wav")
    with pytest.raises(CohortError, match=r"names a0001_pcg\.wav, but a0001\.wav exists, too"):
        read_cohort(compose(["data=cinc2016", f"data.root={root}"]).data)


def test_recordings_without_a_label_are_counted(tmp_path: Path) -> None:
    root = two_signals(tmp_path, "{0} 2 2000 4000", WAV, ECG)
    part = root / "training-a"
    part = part.rename(root / "Training-A")
    (part / "REFERENCE.csv").rename(part / "reference.CSV")
    (root / "training-b").mkdir()
    shutil.copy(part / "a0001.wav", root / "training-b" / "b0001.WAV")
    shutil.copy(part / "a0001.wav", part / "a0009.wav")
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={root}"]).data)
    assert cohort.n_recordings == 2
    found = {note.name: note.items for note in cohort.notes}
    assert found["recordings without a label"] == ("Training-A/a0009.wav", "training-b/b0001.WAV")


def test_cinc2016_in_capitals_and_without_headers(tmp_path: Path) -> None:
    part = two_signals(tmp_path, "{0} 2 2000 4000", WAV, ECG) / "training-a"
    (part / "a0001.wav").rename(part / "a0001.WAV")
    (part / "a0001.hea").rename(part / "a0001.HEA")
    (part / "a0002.hea").unlink()
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={part}"]).data)
    assert cohort.n_recordings == 2
    without = [note for note in cohort.notes if note.name == "recordings without a header"]
    assert [note.items for note in without] == [("a0002",)]


# --- a user's table ---------------------------------------------------------------------------


def test_table(table_csv: Path) -> None:
    cohort = load_table(table_csv)
    assert (cohort.n_persons, cohort.n_patients, cohort.n_recordings) == (15, 16, 32)
    assert cohort.covariates == ("age",)  # the tone varies within a patient
    assert cohort.patients["age"].isna().sum() == 6


def test_table_of_another_task(table_csv: Path) -> None:
    tasks = "data.tasks={valve: {classes: [AV, MV], column: patient_id}}"
    with pytest.raises(CohortError, match=r"valve of patient p0 is 'p0'"):
        load_table(table_csv, tasks)


def test_table_missing_column_is_guessed(table_csv: Path) -> None:
    with pytest.raises(CohortError, match=r"data\.patient_column='patient' \(did you mean"):
        load_table(table_csv, "data.patient_column=patient")


def test_table_rows_of_a_patient_must_agree(edit_csv: Edit) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[1, "murmur"] = "Unknown"
        return table

    with pytest.raises(CohortError, match=r"p0 has several values of murmur: Present, Unknown"):
        load_table(edit_csv(change))


def test_table_missing_label(edit_csv: Edit) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["patient_id"] == "p3", "murmur"] = ""
        return table

    with pytest.raises(CohortError, match=r"murmur of patient p3 is missing"):
        load_table(edit_csv(change))


def test_table_empty_patient_names_the_line(edit_csv: Edit) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[4, "patient_id"] = ""
        return table

    with pytest.raises(CohortError, match="patient_id is empty in line 6"):
        load_table(edit_csv(change))


def test_table_repeated_recording(edit_csv: Edit) -> None:
    with pytest.raises(CohortError, match=r"recording_id must be unique, but p0_0\.wav"):
        load_table(edit_csv(lambda table: pd.concat([table, table.iloc[:1]])))


# --- broken audio -----------------------------------------------------------------------------


def overwrite(
    table_csv: Path, samples: np.ndarray, rate: int = 4000, subtype: str = "PCM_16"
) -> None:
    soundfile.write(table_csv.parent / "p0_0.wav", samples, rate, subtype=subtype)


def test_empty_file(table_csv: Path) -> None:
    (table_csv.parent / "p0_0.wav").write_bytes(b"")
    with pytest.raises(CohortError, match=r"p0_0\.wav cannot be read as audio: the file is empty"):
        load_table(table_csv)


def test_no_samples(table_csv: Path) -> None:
    overwrite(table_csv, np.zeros(0))
    with pytest.raises(CohortError, match=r"p0_0\.wav holds no samples"):
        load_table(table_csv)


def test_not_audio(table_csv: Path) -> None:
    (table_csv.parent / "p0_0.wav").write_text("hello")
    with pytest.raises(CohortError, match=r"p0_0\.wav cannot be read as audio"):
        load_table(table_csv)


def test_truncated_flac(table_csv: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(table_csv.parent / "p0_0.wav")
    soundfile.write(tmp_path / "whole.flac", samples, rate)
    whole = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CohortError, match=r"cut\.flac"):
        inspect(tmp_path / "cut.flac")


def test_stereo_needs_a_channel(table_csv: Path) -> None:
    left, right = np.full(8000, 0.25), np.zeros(8000)
    left[::2] = -0.25
    overwrite(table_csv, np.stack([left, right], axis=1))
    with pytest.raises(CohortError, match=r"has 2 channels.*data\.channel=0"):
        load_table(table_csv)
    samples, _ = read_samples(table_csv.parent / "p0_0.wav", channel=0)
    np.testing.assert_array_equal(samples, left.astype(np.float32))
    with pytest.raises(CohortError, match="but no channel 2"):
        read_samples(table_csv.parent / "p0_0.wav", channel=2)


def test_nan_samples(table_csv: Path) -> None:
    samples = np.zeros(8000, dtype=np.float32)
    samples[5:8] = np.nan
    overwrite(table_csv, samples, subtype="FLOAT")
    with pytest.raises(CohortError, match="holds 3 samples that are not finite"):
        load_table(table_csv)


def test_flat_and_clipped_recordings_are_counted_and_named(table_csv: Path) -> None:
    overwrite(table_csv, np.full(8000, 0.5))
    clipped = np.zeros(8000, dtype=np.int16)
    clipped[:100], clipped[100:200] = 32767, -32768
    soundfile.write(table_csv.parent / "p1_0.wav", clipped, 4000)
    notes = {note.name: note.items for note in load_table(table_csv).notes}
    assert notes["flat recordings"] == ("p0_0.wav",)
    assert notes["clipped recordings"] == ("p1_0.wav",)
    assert inspect(table_csv.parent / "p1_0.wav").clipped_share == 200 / 8000


# --- laws -------------------------------------------------------------------------------------


def test_fingerprint_knows_samples_and_labels_but_not_places(
    table_csv: Path, tmp_path: Path
) -> None:
    before = load_table(table_csv)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in table_csv.parent.glob("*.*"):
        shutil.copy(path, moved)
    table = pd.read_csv(moved / "table.csv").sample(frac=1, random_state=1)
    table.to_csv(moved / "table.csv", index=False)
    assert load_table(moved / "table.csv").fingerprint == before.fingerprint

    samples, rate = soundfile.read(moved / "p0_0.wav", dtype="int16")
    samples[0] += 1
    soundfile.write(moved / "p0_0.wav", samples, rate)
    assert load_table(moved / "table.csv").fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"recordings": lambda c: c.recordings.iloc[2:]}, "1 patient has no recording: p0"),
        ({"patients": lambda c: c.patients.iloc[1:]}, "unknown patients: p0"),
        ({"persons": lambda c: c.persons.iloc[1:]}, "unknown persons"),
        (
            {"patients": lambda c: pd.concat([c.patients, c.patients.iloc[:1]])},
            "patient_id must be unique, but p0 ",
        ),
        ({"recordings": lambda c: c.recordings.drop(columns="sha256")}, "lacks the columns sha256"),
    ],
)
def test_laws(shared_table_csv: Path, change: dict[str, Callable], match: str) -> None:
    cohort = load_table(shared_table_csv)
    parts = {name: make(cohort) for name, make in change.items()}
    with pytest.raises(CohortError, match=match):
        dataclasses.replace(cohort, **parts)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"classes": ("a",)}, "two or more"),
        ({"positive": "c"}, "'c' is not one of"),
        ({"class_weights": (1.0, 0.0)}, "above 0"),
        ({"name": "a.b"}, "cannot be called 'a.b'"),
        ({"name": "a+b"}, r"cannot be called 'a\+b'"),
        ({"name": ""}, "cannot be called ''"),
    ],
)
def test_task_laws(values: dict[str, object], match: str) -> None:
    good = {
        "name": "t",
        "classes": ("a", "b"),
        "positive": "a",
        "class_weights": (1.0, 1.0),
        "patient_pool": "mean",
    }
    with pytest.raises(CohortError, match=match):
        Task(**{**good, **values})  # type: ignore[arg-type]
