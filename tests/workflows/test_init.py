"""`kfold-hs init`: own tables and folders as people have them, up to a split that can be drawn."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.project import TINY, kfold_hs

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config, TableData
from kfold_hs.config.study import layered
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.splits.stratify import stratify
from kfold_hs.workflows.init.guess import Named
from kfold_hs.workflows.init.study import Started, init

RATE = 4000


def sound(path: Path, seconds: float = 1.5, channels: int = 1, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(str(path).encode())).standard_normal(
        (round(seconds * rate), channels)
    )
    soundfile.write(path, 0.1 * noise, rate, subtype="PCM_16")


def table(folder: Path, rows: list[Mapping[str, Any]], **kwargs: Any) -> Path:
    path = folder / "my.csv"
    pd.DataFrame(rows).to_csv(path, index=False, **kwargs)
    return path


def rows_of(folder: Path, row: Callable[[int], Mapping[str, Any]], n: int = 12) -> list[Any]:
    """A recording for each number, `a/<number>.wav`, and what `row` says of it."""
    found = []
    for i in range(n):
        sound(folder / "a" / f"{i}.wav")
        found.append({"file": f"a/{i}.wav", **row(i)})
    return found


def config_of(started: Started) -> Config:
    return compose(layered([started.study], []))


def asked(started: Started) -> str:
    return "\n".join(f"{key}: {text}" for _, key, text in started.questions)


def test_from_a_table_to_a_split_and_a_run(tmp_path: Path) -> None:
    """What a spreadsheet saves: semicolons, a mark, words in capitals; nothing is typed but -c."""
    folder = tmp_path / "study data"
    rows = []
    for i in range(16):
        for site in ("AV", "MV"):
            name = f"wav/{i:03d}_{site}.wav"
            sound(folder / name)
            sick = "Abnormal" if i % 3 == 0 else "Normal"
            rows.append({"Recording": name, "Patient ID": f"{i:03d}", "Subject": f"S{max(1, i)}",
                         "Location": site, "Diagnosis": sick, "Smoker": str(i % 2 == 0).upper(),
                         "Age": 20 + i, "Clinic": "AB"[i % 2]})  # fmt: skip
    path = table(folder, rows, sep=";", encoding="utf-8-sig")
    done = kfold_hs("init", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    study = folder / "study.yaml"
    assert f"Next: kfold-hs run -c '{study}'" in done.stdout
    config = compose(layered([study], []))
    assert isinstance(config.data, TableData)
    assert config.data.recording_column == "Recording"
    assert config.data.patient_column == "Patient ID"
    assert (config.data.person_column, config.data.site_column) == ("Subject", "Location")
    assert list(config.data.tasks) == ["Diagnosis"]
    assert config.data.tasks["Diagnosis"].classes == ("Abnormal", "Normal")
    assert "Smoker" in done.stdout
    assert "hold_out: Clinic" in done.stdout
    # The line that a question names is the line of its key.
    (line,) = (each for each in done.stdout.splitlines() if "(data.person_column)" in each)
    number = int(line.split(", line ")[1].split(" ")[0])
    assert "person_column: Subject" in study.read_text().splitlines()[number - 1]
    done = kfold_hs("audit", "-c", study, "--json", cwd=tmp_path)
    assert isinstance(json.loads(done.stdout), list)
    tiny = [each for each in TINY if not each.startswith("data")]
    words = [*tiny, "train.epochs=1", "judge.gallery.patients=0"]
    first = kfold_hs("run", "-c", study, *words, "--json", "-q", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert len(list((tmp_path / "reports").glob("table-*/report.html"))) == 1
    again = kfold_hs("run", "-c", "study.yaml", "--root", tmp_path, *words, "--json", "-q",
                     cwd=folder)  # fmt: skip
    assert again.returncode == 0, again.stderr  # from elsewhere the same run, which is done
    assert len(list((tmp_path / "reports").glob("table-*/report.html"))) == 1
    assert json.loads(first.stdout)["tasks"] == json.loads(again.stdout)["tasks"]


@pytest.mark.parametrize(
    ("labels", "classes", "question"),
    [
        (["1", "0", "0", "0"], ("1", "0"), ""),
        (["TRUE", "FALSE", "FALSE"], ("TRUE", "FALSE"), ""),
        (["no", "no", "yes"], ("yes", "no"), ""),
        (["Absent", "Present", "Unknown", "Absent"], ("Present", "Unknown", "Absent"), ""),
        (["N", "AS", "MR", "N"], ("AS", "MR", "N"), "The first by name was taken: AS"),
        (["red", "green", "green"], ("red", "green"), "The rarest was taken: red"),
        (["red", "green"], ("green", "red"), "The first by name was taken: green"),
        (["1", "2", "2"], ("1", "2"), ""),
    ],
)
def test_classes_begin_with_the_positive_one(
    labels: list[str], classes: tuple[str, ...], question: str, tmp_path: Path
) -> None:
    rows = rows_of(tmp_path, lambda i: {"patient": f"p{i}", "label": labels[i % len(labels)]})
    started = init(table(tmp_path, rows))
    task = config_of(started).data.tasks["label"]
    assert task.classes == classes
    assert task.positive == classes[0]
    assert question in asked(started)
    assert ("positive one?" in asked(started)) == bool(question)
    read_cohort(config_of(started).data)


def test_ids_are_counted_as_the_reader_cleans_them(tmp_path: Path) -> None:
    """Two rows a patient, the second with a space or a no-break space behind the id."""
    ends = ["", " ", "", "\u00a0"]
    rows = rows_of(
        tmp_path,
        lambda i: {"patient": f"p{i // 2}{ends[i % 4]}", "label": ["yes", "no"][i // 2 % 2]},
    )
    started = init(table(tmp_path, rows))
    n = len({row["patient"].strip() for row in rows})
    assert n < len(rows)
    cohort = read_cohort(config_of(started).data)
    assert cohort.n_patients == n
    assert any(f"{n} patients" in reason for _, reason in started.guesses)


def test_other_columns_are_no_labels(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        lambda i: {"id": i, "sex": "MF"[i % 2], "age": i, "grade": i / 7, "murmur": "YN"[i % 2],
                   "campaign": 2014 + i % 2, "quality": i % 2, "name": f"n{i}"},
    )  # fmt: skip
    assert list(config_of(init(table(tmp_path, rows))).data.tasks) == ["murmur"]


def test_a_covariate_becomes_a_label_where_it_is_named(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, lambda i: {"id": i, "mood": i % 2, "murmur": i % 2})
    path = table(tmp_path, rows)
    started = init(path)
    assert any("mood" in note and "--label" in note for note in started.notes)
    with pytest.raises(ConfigError, match="--force replaces it"):
        init(path)
    named = init(path, None, Named(labels=("mood", "murmur")), force=True)
    assert list(config_of(named).data.tasks) == ["mood", "murmur"]


def test_labels_are_added_to_the_guess_and_left_out(tmp_path: Path) -> None:
    """What looks like a label is never a covariate without a word."""
    rows = rows_of(
        tmp_path, lambda i: {"id": i, "mood": i % 2, "murmur": i % 2, "dx code": "abc"[i % 3]}
    )
    path = table(tmp_path, rows)
    named = init(path, None, Named(labels=("mood",)))
    assert list(config_of(named).data.tasks) == ["mood", "murmur"]
    assert "--no-label murmur leaves it out" in asked(named)
    less = init(path, None, Named(labels=("mood",), no_labels=("murmur",)), force=True)
    assert list(config_of(less).data.tasks) == ["mood"]
    unsure = init(path, None, Named(no_labels=("murmur",)), force=True)
    assert list(config_of(unsure).data.tasks) == ["mood"]
    assert "--no-label mood" in asked(unsure)
    with pytest.raises(CohortError) as caught:
        init(path, None, Named(labels=("Murmur",)), force=True)
    assert str(caught.value).count("Murmur") == 1
    assert "Did you mean 'murmur'?" in str(caught.value)


def paired(folder: Path, column: str) -> list[dict[str, Any]]:
    """Eight people, of each two files with different numbers, and a column of people."""
    rows = []
    for i in range(16):
        sound(folder / f"{i}_AV.wav", 0.5)
        rows.append({"file": f"{i}_AV.wav", column: f"HS-{i // 2}", "age": 30 + i // 2,
                     "label": "YN"[i // 2 % 2], "ward": f"w{i // 3}"})  # fmt: skip
    return rows


@pytest.mark.parametrize(
    "names",
    [
        ("subject no", "subject number", "Subject No.", "Subjects", "participant id",
         "ParticipantID", "Probanden-Nr", "study_no", "infant code", "subject #"),
        ("pat. nr", "Patient-Nr", "PatientID", "patients", "MRN", "medical record number",
         "case no", "record id", "Pt ID", "Patientennummer"),
    ],
)  # fmt: skip
def test_people_are_known_by_the_words_of_a_name(names: tuple[str, ...], tmp_path: Path) -> None:
    """Each joins two prefixes of files, which are not the patients then."""
    for name in names:
        path = table(tmp_path, paired(tmp_path, name))
        data = config_of(init(path, force=True)).data
        assert isinstance(data, TableData)
        assert data.patient_column == name


def test_people_without_a_name_are_asked_about(tmp_path: Path) -> None:
    started = init(table(tmp_path, paired(tmp_path, "kis")))
    assert (
        "data.patient_column: does kis name people? It has 8 values for 16 patients, and labels "
        "that agree in each. If so, write patient_column: kis in its place"
    ) in asked(started)
    assert "age name people" not in asked(started)
    assert "ward name people" not in asked(started)  # its labels differ
    assert any("call patients by patient_id; --patient" in note for note in started.notes)
    study = started.study.read_text().splitlines()
    (line,) = {line for line, key, _ in started.questions if key == "data.patient_column"}
    study[line - 1] = "  patient_column: kis"
    started.study.write_text("\n".join(study))
    assert len(read_cohort(config_of(started).data).persons) == 8


def test_people_beside_patients(tmp_path: Path) -> None:
    """A second column of people joins patients; a row without it is of the patient's person."""
    rows = paired(tmp_path, "subject no")
    rows[1]["subject no"] = ""
    rows[3]["subject no"] = "HS-0"
    for i, row in enumerate(rows):
        row["MRN"], row["subject no"] = f"m{i // 2}", row["subject no"] and f"HS-{i // 4}"
    data = config_of(init(table(tmp_path, rows))).data
    assert isinstance(data, TableData)
    assert (data.patient_column, data.person_column) == ("MRN", "subject no")
    assert len(read_cohort(data).persons) == 4
    rows = [{"record id": i, **row} for i, row in enumerate(paired(tmp_path, "subject"))]
    data = config_of(init(table(tmp_path, rows), force=True)).data
    assert isinstance(data, TableData)
    assert data.patient_column == "subject"  # a record is a row here


def test_covariates_are_those_of_the_reader(tmp_path: Path) -> None:
    rows = [
        {**row, "remarks": f"r{i}", "address": f"street {i // 2}", "weight": f"{9 + i // 2},616"}
        for i, row in enumerate(paired(tmp_path, "patient"))
    ]
    started = init(table(tmp_path, rows, sep=";"))
    assert "Covariates, kept by their names: age, weight." in started.notes
    (note,) = (each for each in started.notes if each.startswith("No covariates"))
    assert "remarks (differs within a patient), address (8 different values)" in note
    path = tmp_path / "moved.csv"
    for row in rows:
        row["file"] = Path(row["file"]).stem
    pd.DataFrame(rows).to_csv(path, index=False, sep=";")
    cohort = read_cohort(config_of(init(path, tmp_path / "s.yaml")).data)
    assert cohort.patients["weight"].iloc[0] == "9.616"
    assert "odd cells" not in {each.name for each in cohort.notes}


def test_names_without_folder_or_suffix_and_broken_rows(tmp_path: Path) -> None:
    """The table that is written has the paths, and only rows that can be used, counted."""
    rows = rows_of(tmp_path, lambda i: {"patient": i, "label": ["sick", "well"][i % 2]}, 16)
    for row in rows:
        row["file"] = Path(row["file"]).stem
    rows[3]["file"] = "nowhere"
    rows[4]["label"], rows[6]["label"] = "", "Sick"
    (tmp_path / "a" / "5.wav").write_bytes(b"RIFF")
    started = init(table(tmp_path, rows))
    assert [each.name for each in started.written] == ["study.yaml", "study-recordings.csv"]
    assert "names no file: line 5 of my.csv" in asked(started)
    assert "cannot be read" in asked(started)
    assert "label is empty" in asked(started)
    cohort = read_cohort(config_of(started).data)
    assert cohort.n_recordings == 13
    assert set(cohort.patients["label"]) == {"sick", "well"}


def test_several_recordings_in_a_row(tmp_path: Path) -> None:
    rows = []
    for i in range(12):
        for site in ("AV", "MV"):
            sound(tmp_path / f"{i}_{site}.wav")
        rows.append({"patient_id": f"p{i}", "murmur": "YN"[i % 2], "aortic": f"{i}_AV.wav",
                     "mitral": f"{i}_MV.wav" if i else ""})  # fmt: skip
    cohort = read_cohort(config_of(init(table(tmp_path, rows))).data)
    assert (len(cohort.patients), cohort.n_recordings) == (12, 23)
    assert set(cohort.recordings["site"]) == {"aortic", "mitral"}


def test_nothing_says_who_the_people_are(tmp_path: Path) -> None:
    started = init(table(tmp_path, rows_of(tmp_path, lambda i: {"label": i % 2})))
    data = config_of(started).data
    assert isinstance(data, TableData)
    assert data.persons_known is False
    assert "add a column of persons" in asked(started)
    assert "unknown persons" in {note.name for note in read_cohort(data).notes}


def test_linked_patients_are_one_person(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path, lambda i: {"patient_id": f"p{i}", "label": i % 2,
                             "Additional ID": "p0" if i == 2 else ""},
    )  # fmt: skip
    started = init(table(tmp_path, rows))
    cohort = read_cohort(config_of(started).data)
    assert len(cohort.persons) == 11
    assert "links 1 pair" in asked(started)


def test_sound_decides_channel_and_band(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, lambda i: {"patient": i, "label": i % 2})
    for row in rows:
        sound(tmp_path / row["file"], channels=2, rate=1600)
    config = config_of(init(table(tmp_path, rows)))
    assert isinstance(config.data, TableData)
    assert config.data.channel == 0
    assert config.features.f_max_hz == 800


def test_rare_classes_lower_the_number_of_folds(tmp_path: Path) -> None:
    labels = ["a"] * 8 + ["b"] * 3 + ["c"]
    rows = rows_of(tmp_path, lambda i: {"patient": i, "label": labels[i]})
    started = init(table(tmp_path, rows))
    config = config_of(started)
    assert config.split.n_folds == 3
    assert config.data.tasks["label"].classes == ("b", "a")
    assert "label is c" in asked(started)
    done = kfold_hs("split", "-c", started.study, "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_folders_are_classes(tmp_path: Path) -> None:
    for i in range(12):
        for site in ("AV", "MV"):
            sound(tmp_path / ("healthy" if i % 2 else "AS") / f"{i}_{site}.wav")
    config = config_of(init(tmp_path))
    cohort = read_cohort(config.data)
    assert config.data.tasks["class"].classes == ("AS", "healthy")
    assert len(cohort.patients) == 12
    assert set(cohort.recordings["site"]) == {"AV", "MV"}


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["training_data.csv", "training_data/x.txt"], "circor"),
        (["inner/training-a/REFERENCE.csv"], "cinc2016"),
        (["REFERENCE.csv"], "cinc2016"),
        (["train.csv", "train/x"], "bmdhs"),
        (["Clean Heartsound Data Details.csv"], "zchsound"),
    ],
)
def test_published_data_are_known_by_their_layout(
    files: list[str], kind: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    config = config_of(init(tmp_path, tmp_path / "elsewhere" / "s.yaml"))
    assert config.data.kind == kind
    inner = tmp_path / "inner" if (tmp_path / "inner").exists() else tmp_path
    assert config.data.model_dump()["root"].resolve() == inner


def test_a_table_of_published_data_stands_for_its_folder(tmp_path: Path) -> None:
    (tmp_path / "training_data").mkdir()
    (tmp_path / "training_data.csv").write_text("Patient ID,Murmur\n1,Absent\n")
    assert config_of(init(tmp_path / "training_data.csv")).data.kind == "circor"


def test_real_recordings(cinc2016: Path, tmp_path: Path) -> None:
    found = init(cinc2016, tmp_path / "study.yaml")
    config = config_of(found)
    assert read_cohort(config.data).n_recordings > 10
    assert [key for _, key, _ in found.questions] == ["data.aliases"]  # nobody knows the persons


def test_published_data_of_few_people_get_folds_that_they_fill(
    circor_wav: Path, tmp_path: Path
) -> None:
    found = init(circor_wav, tmp_path / "study.yaml")
    assert "Task murmur: persons: 4 Present, 4 Unknown, 4 Absent." in found.notes
    config = config_of(found)
    assert config.split.n_folds == 4
    assert stratify(read_cohort(config.data), config.split.n_folds, seed=0).n_folds == 4


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere.csv", "does not exist"),
        (lambda folder: folder, "lies no recording"),
        (lambda folder: table(folder, [{"file": "x/1.wav", "label": 1}]), "which would be"),
        (lambda folder: table(folder, rows_of(folder, lambda i: {"age": i})), "--label COLUMN"),
        (lambda folder: (sound(folder / "1.wav"), folder)[1], "recording,patient_id,label"),
    ],
)
def test_what_cannot_be_guessed_is_told(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CohortError) as caught:
        init(make(tmp_path))
    assert said in str(caught.value)
    assert not list(tmp_path.glob("study*"))
