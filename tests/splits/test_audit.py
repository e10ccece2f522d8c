"""The audit finds what was planted, and nothing in what is honest."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal
from support.project import TINY, Silent, kfold_hs, two_numberings

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import read_aliases, union
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.silence import identifies
from kfold_hs.cohort.synthetic.people import draw_patients, render
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError, SplitError
from kfold_hs.splits import Split, stratify
from kfold_hs.splits.audio_fingerprint import SAME, correlation_at, matches, sound
from kfold_hs.splits.audit import Finding, audit, refuse_leaks, same_people
from kfold_hs.splits.imported import folds_of_recordings, read_folds
from kfold_hs.splits.stratify import SplitRule
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

RATE = 4000


@pytest.fixture(scope="module")
def hearts() -> list[np.ndarray]:
    """One recording of each of 12 simulated people, float32 at 4000 Hz."""
    patients = draw_patients(14, seed=5)
    first = {p.person_id: p.recordings[0] for p in patients}
    return [render(r).samples.astype(np.float32) / 32768 for r in list(first.values())[:12]]


def write(folder: Path, sounds: dict[str, np.ndarray], persons: dict[str, str]) -> Path:
    """A table with one recording a patient; labels alternate so that every fold has all."""
    rows = []
    for i, (patient, samples) in enumerate(sounds.items()):
        soundfile.write(folder / f"{patient}.wav", samples, RATE, subtype="PCM_16")
        rows.append(
            {
                "recording": f"{patient}.wav",
                "patient_id": patient,
                "person": persons.get(patient, patient),
                "murmur": ("Present", "Unknown", "Absent")[i % 3],
                "outcome": ("Abnormal", "Normal")[i // 3 % 2],
                "site": "AV",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def load(path: Path, *words: str) -> Cohort:
    return read_cohort(compose([*TINY, f"data.path={path}", *words]).data)


def kinds(findings: list[Finding], leaks: bool = True) -> list[str]:
    return [finding.kind for finding in findings if finding.is_leak == leaks]


@pytest.fixture(scope="module")
def cohort(shared_table_csv: Path) -> Cohort:
    return load(shared_table_csv)


@pytest.fixture
def honest(tmp_path: Path, hearts: list[np.ndarray]) -> Cohort:
    return load(write(tmp_path, {f"p{i}": x for i, x in enumerate(hearts)}, {}))


def test_nothing_is_found_in_honest_data(honest: Cohort) -> None:
    assert audit(honest, folds_of_recordings(stratify(honest, 2, 0), honest)) == []


def noisy(x: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return x + rng.normal(0, x.std() / 10, len(x))  # 20 dB


ALTERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shifted": lambda x: np.concatenate([np.random.default_rng(0).normal(0, 1e-3, 3001), x]),
    "trimmed": lambda x: x[RATE + 1 : RATE * 6],
    "resampled": lambda x: signal.resample_poly(signal.resample_poly(x, 1, 2), 2, 1),
    "gain changed": lambda x: 0.25 * x,
    "polarity turned": lambda x: -x,
    "noisy": noisy,
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_under_another_name_is_a_leak(
    tmp_path: Path, hearts: list[np.ndarray], name: str
) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)}
    sounds["copy"] = np.clip(ALTERED[name](hearts[4]), -1, 1)
    cohort = load(write(tmp_path, sounds, {}))
    (finding,) = [f for f in audit(cohort) if f.is_leak]
    assert finding.kind == "near copy"
    assert finding.same == (("copy", "p4"),)
    assert "copy.wav" in finding.items[0]


def test_segments_of_one_recording(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)}
    whole = sounds.pop("p4")
    assert len(whole) > 8 * RATE
    sounds |= {"a": whole[: 6 * RATE], "b": whole[2 * RATE :]}
    cohort = load(write(tmp_path, sounds, {}))
    assert kinds(audit(cohort)) == ["overlapping segments"]


def test_the_same_samples_in_one_fold_and_in_two(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)} | {"copy": hearts[4]}
    cohort = load(write(tmp_path, sounds, {}))
    folds = pd.DataFrame({0: np.arange(13) % 2}, index=pd.Index(cohort.recordings["recording_id"]))
    folds.loc["copy.wav"] = folds.loc["p4.wav"]
    assert kinds(audit(cohort, folds)) == []
    assert "same recording" in kinds(audit(cohort, folds), leaks=False)
    folds.loc["copy.wav"] = 1 - folds.loc["p4.wav"]
    assert kinds(audit(cohort, folds)) == ["same recording"]


def test_copies_of_one_person_are_no_leak(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)} | {"p4b": hearts[4] / 2}
    cohort = load(write(tmp_path, sounds, {"p4b": "p4"}))
    findings = audit(cohort)
    assert kinds(findings) == []
    assert kinds(findings, leaks=False) == ["copies within a person", "contradicting labels",
                                            "contradicting labels"][: len(findings)]  # fmt: skip


def test_a_torn_person_is_named_with_patients_and_folds(
    tmp_path: Path, hearts: list[np.ndarray]
) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)}
    cohort = load(write(tmp_path, sounds, {"p1": "p7"}))
    folds = pd.DataFrame({0: [0] * 6 + [1] * 6}, index=pd.Index(cohort.recordings["recording_id"]))
    (finding,) = [f for f in audit(cohort, folds) if f.is_leak]
    assert finding.kind == "person on two sides"
    assert finding.items == (
        "person p7: patient p1 (1 recording) in fold 0, patient p7 (1 recording) in fold 1",
    )
    with pytest.raises(SplitError, match="this split leaks, so that nothing was trained"):
        refuse_leaks([finding])
    refuse_leaks([finding], allowed=["person on two sides"])


def test_aliases_are_a_leak_until_they_are_given(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    path = write(tmp_path, {f"p{i}": x for i, x in enumerate(hearts)}, {})
    cohort = load(path)
    findings = audit(cohort, aliases=[("p1", "p5"), ("p5", "p9")])
    assert kinds(findings) == ["linked patients"]
    assert same_people(findings) == [("p1", "p5"), ("p1", "p9")]
    aliases = tmp_path / "aliases.csv"
    aliases.write_text("a,b\np1,p5\np9,p5\n")
    joined = load(path, f"data.aliases={aliases}")
    assert joined.n_persons == 10
    assert {joined.person_of[p] for p in ("p1", "p5", "p9")} == {"p1"}
    assert audit(joined, aliases=[("p1", "p5"), ("p5", "p9")])[0].kind == "contradicting labels"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\np1\n", "has 1 column"), ("a,b\np1,\n", "line 2 holds only one id"),
     ("a,b\np1,p99\n", "names p99\\. This cohort has no such")],
)  # fmt: skip
def test_alias_tables_that_do_not_fit(
    tmp_path: Path, shared_table_csv: Path, text: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(CohortError, match=message):
        load(shared_table_csv, f"data.aliases={tmp_path / 'a.csv'}")


def test_a_source_that_tells_the_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        name = f"p{i}.wav"
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(RATE), RATE)
        ill = i % 2 == 0
        rows.append(
            {
                "recording": name, "patient_id": f"p{i}", "outcome": ("ill", "well")[i % 2],
                "hospital": "north" if ill != (i % 10 == 0) else "south", "ward": "ab"[i // 2 % 2],
            }
        )  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    words = [
        "data=table",
        f"data.path={tmp_path / 't.csv'}",
        "data.tasks={outcome: {classes: [ill, well]}}",
    ]
    (finding,) = audit(read_cohort(compose(words).data))
    assert (finding.kind, finding.is_leak) == ("telling covariate", False)
    assert all(item.startswith("hospital predicts outcome") for item in finding.items)


def test_silence_matches_nothing() -> None:
    rng = np.random.default_rng(0)
    silent = [sound(np.zeros(RATE * 5, dtype=np.float32), RATE) for _ in range(3)]
    assert matches([*silent, sound(rng.standard_normal(RATE * 5), RATE)]) == []
    assert matches([]) == []


TIME_S = np.arange(RATE * 8) / RATE
CLICK = np.where(np.arange(len(TIME_S)) == 9000, 0.5, 0.0)
DITHER = np.random.default_rng(0).integers(0, 2, len(TIME_S)) / 32768
NOBODYS: dict[str, np.ndarray] = {
    "silence": 0 * TIME_S,
    "constant": 0 * TIME_S + 0.2,
    "dithered silence": DITHER,
    "a click": CLICK,
    "a click on dithered silence": CLICK + DITHER,
    "clicks in time": np.where(np.arange(len(TIME_S)) % 3200 < 2, 0.5, 0.0),
    "a step": np.where(TIME_S < 3, 0.0, 0.3),
    "a drifting level": 0.8 * np.exp(-TIME_S),
    "a ramp": TIME_S / 10,
    "full scale, over and over": np.where(TIME_S % 0.02 < 0.01, -1.0, 1.0),
    "full scale, turning every sample": np.where(np.arange(len(TIME_S)) % 2, -1.0, 1.0),
    "full scale": 0 * TIME_S + 1,
    "hum": 0.3 * np.sin(2 * np.pi * 50 * TIME_S),
    "five samples": np.array([0.1, -0.2, 0.3, 0.1, 0.2]),
    "one sample": np.array([0.1]),
}


def test_what_identifies_nobody(hearts: list[np.ndarray]) -> None:
    for name, samples in NOBODYS.items():
        assert not identifies(samples.astype(np.float32)), name
        assert not identifies(np.concatenate([samples, samples])), name
    for heart in hearts:
        silent = np.zeros(60 * RATE)
        for samples in (
            heart, heart * 0.01, heart[:RATE], heart[: RATE // 2], heart + 0.2,
            np.clip(heart * 1000, -1, 1), np.concatenate([silent, heart[: 2 * RATE], silent]),
        ):  # fmt: skip
            assert identifies(samples.astype(np.float32))


def test_recordings_without_sound_are_no_leak(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)}
    for number, samples in enumerate(NOBODYS.values()):
        sounds |= {f"a{number:02d}": samples, f"b{number:02d}": samples}
    sounds |= {"c": NOBODYS["clicks in time"][400:], "d": NOBODYS["hum"][41:]}
    path = write(tmp_path, sounds, {})
    cohort = load(path)
    folds = pd.DataFrame({0: np.arange(len(sounds)) % 2}, index=cohort.recordings["recording_id"])
    assert [f for f in audit(cohort, folds) if "cording" in f.text] == []
    done = kfold_hs("audit", *TINY, f"data.path={path}", "--fix", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "split.json").exists()
    sounds["copy"] = hearts[3]
    assert kinds(audit(load(write(tmp_path, sounds, {})))) == ["same recording"]


def test_few_peaks_do_not_end_the_search() -> None:
    clicks = [np.roll(CLICK, k) + np.roll(CLICK, 9000 + k) for k in range(3)]
    assert matches([sound(x, RATE) for x in [*clicks, CLICK]]) is not None


def test_ids_that_look_alike_are_noted(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    ids = ["7", "007", "7.0", "A1", "a1", "A 1", "x-1", "x\u20131", "12", "120"]
    sounds = dict(zip(ids, hearts, strict=False)) | {"z7": hearts[10], "z07": hearts[11]}
    cohort = load(write(tmp_path, sounds, {"z07": "z7"}))
    (finding,) = [f for f in audit(cohort) if f.kind == "alike ids"]
    assert not finding.is_leak
    assert finding.items == (
        "patients '007' and '7' and '7.0'", "patients 'A 1' and 'A1' and 'a1'",
        "patients 'x-1' and 'x\u20131'",
        "persons '007' and '7' and '7.0'", "persons 'A 1' and 'A1' and 'a1'",
        "persons 'x-1' and 'x\u20131'",
    )  # fmt: skip


def test_fix_writes_any_ids_and_keeps_the_aliases_given(
    tmp_path: Path, hearts: list[np.ndarray]
) -> None:
    """Commas, quotes and semicolons in ids, and persons joined before."""
    sounds = {f"p{i}": x for i, x in enumerate(hearts)}
    path = write(tmp_path, sounds | {"copy": hearts[4] / 2}, {})
    table = pd.read_csv(path, dtype=str)
    odd = {"p4": 'Doe, "Jane"; 4', "copy": "Doe, Jane 5", "p5": "a;b", "p6": "'c',d"}
    table["patient_id"] = table["patient_id"].replace(odd)
    table["person"] = table["patient_id"]
    table.to_csv(path, index=False)
    pd.DataFrame({"patient_id": ["a;b"], "other": ["'c',d"]}).to_csv(tmp_path / "known.csv")
    refused = kfold_hs("audit", *TINY, f"data.path={path}", "data.aliases=known.csv", cwd=tmp_path)
    assert "the alias table names 0." in refused.stderr  # pandas' own column of numbers
    pd.DataFrame({"patient_id": ["a;b"], "other": ["'c',d"]}).to_csv(
        tmp_path / "known.csv", index=False
    )
    words = [*TINY, f"data.path={path}"]
    done = kfold_hs("audit", *words, "data.aliases=known.csv", "--fix", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    with (tmp_path / "split.aliases.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["patient_id", "same_person_as"]
    assert sorted(rows[1:]) == [["'c',d", "a;b"], ['Doe, "Jane"; 4', "Doe, Jane 5"]]
    again = kfold_hs("audit", "split.json", *words, "data.aliases=split.aliases.csv", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr


def test_an_alias_table_says_whose_ids_it_holds(cohort: Cohort, tmp_path: Path) -> None:
    numbered = two_numberings(cohort)  # patient i is person (i + 5) % 16

    def pairs(text: str) -> set[frozenset[str]]:
        (tmp_path / "a.csv").write_text(text)
        top = union(numbered, read_aliases(tmp_path / "a.csv"))
        return {frozenset(p for p in top if top[p] == t) for t in set(top.values())
                if list(top.values()).count(t) > 1}  # fmt: skip

    assert pairs("Patient ID 1,Patient ID 2\n1,2\n") == {frozenset(("6", "7"))}
    assert pairs("Person,person_id\n1,2\n") == {frozenset(("1", "2"))}
    assert pairs("patient_id,same_person_as\n1,2\n") == {frozenset(("6", "7"))}
    assert pairs("patient,person\n1, 2\u200b\n") == {frozenset(("6", "2"))}
    assert pairs("a,b\npatient:1,person:2\n") == {frozenset(("6", "2"))}
    with pytest.raises(CohortError, match=r"'1' .*Write patient:1 or person:1"):
        pairs("a,b\n1,2\n")
    with pytest.raises(CohortError, match="not of recordings"):
        pairs("recording,patient\n1,2\n")
    with pytest.raises(CohortError, match="line 2 has 3 cells"):
        pairs("a,b\n1,2,3\n")


def test_correlation_by_hand(hearts: list[np.ndarray]) -> None:
    whole, late = sound(hearts[0], RATE), sound(hearts[0][RATE:], RATE)
    value, delay_s, overlap_s = correlation_at(late, whole, 1.02)
    assert (round(value, 1), round(delay_s, 3)) == (1.0, 1.0)
    assert overlap_s > len(hearts[0]) / RATE - 1.5
    assert correlation_at(whole, sound(hearts[1], RATE), 0.0)[0] < SAME / 2


def test_the_command_fails_on_a_leak_and_mends_it(tmp_path: Path, hearts: list[np.ndarray]) -> None:
    sounds = {f"p{i}": x for i, x in enumerate(hearts)} | {"copy": 0.5 * hearts[4]}
    data = [*TINY, f"data.path={write(tmp_path, sounds, {})}"]
    folds = pd.DataFrame({"patient": list(sounds), "fold": [i % 2 for i in range(13)]})
    folds.loc[12, "fold"] = 1
    folds.to_csv(tmp_path / "folds.csv", index=False)
    found = kfold_hs("audit", "folds.csv", *data, "--fix", cwd=tmp_path)
    assert found.returncode == 1, found.stderr
    assert "LEAK  near copy: 1 pair of recordings" in found.stdout
    words = ["data.aliases=split.aliases.csv", "split.file=split.json", "split.n_folds=2"]
    assert " ".join(words) in found.stdout
    assert kfold_hs("audit", "split.json", *data, words[0], cwd=tmp_path).returncode == 0
    as_json = json.loads(kfold_hs("audit", *data, "--json", "-q", cwd=tmp_path).stdout)
    assert [f["kind"] for f in as_json if f["is_leak"]] == ["near copy"]
    refused = kfold_hs("run", *data, "split.file=folds.csv", cwd=tmp_path)
    assert refused.returncode == 1
    assert "this split leaks, so that nothing was trained" in refused.stderr
    mixed = kfold_hs("audit", "split.json", *data, cwd=tmp_path)
    assert "made for a cohort with the fingerprint" in mixed.stderr


def signatures(folder: Path, n_persons: int = 40, n_patients: int = 4) -> Path:
    """People with a sound of their own and labels that are noise."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(["A", "N"] * (n_persons // 2))
    time_s = np.arange(2 * RATE) / RATE
    rows = []
    for person in range(n_persons):
        tones = rng.uniform(50, 900, 3)
        for patient in range(n_patients):
            phases = rng.uniform(0, 6, 3)[:, None]
            samples = 0.1 * np.sin(2 * np.pi * tones[:, None] * time_s + phases).sum(axis=0)
            samples += 0.02 * rng.standard_normal(len(time_s))
            name = f"{person}-{patient}"
            soundfile.write(folder / f"{name}.wav", samples, RATE)
            rows.append(
                {
                    "recording": f"{name}.wav", "patient_id": name, "person": f"q{person:02d}",
                    "outcome": labels[person],
                }
            )  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.slow
def test_the_leak_can_be_seen(tmp_path: Path) -> None:
    """Labels are noise: by person nothing is learnt, by patient id the person is known again."""
    words = [
        "data=table", f"data.path={signatures(tmp_path)}", "data.person_column=person",
        "data.tasks={outcome: {classes: [A, N]}}", "features.n_mels=32", "features.hop_s=0.08",
        "train.crop_frames=24", "train.epochs=12", "train.batch_size=16", "split.n_folds=3",
        "augment=none", "split.audit=false", "judge.band_resamples=0", "track=[]",
    ]  # fmt: skip
    auroc = {}
    for by in ("person", "patient"):
        result = cross_validation.run(
            compose([*words, f"split.by={by}"]), Silent(), RunOptions(root=tmp_path)
        )
        auroc[by] = result.summary.tasks["outcome"].metrics["auroc"]["value"]
        page = result.paths.report.read_text()
        assert ("Split by patient id (split.by=patient):" in page) == (by == "patient")
    assert 0.25 < auroc["person"] < 0.75
    assert auroc["patient"] > 0.9


def test_by_patient_is_named_by_the_audit(tmp_path: Path) -> None:
    words = ["data=table", f"data.path={signatures(tmp_path, 8, 2)}", "data.person_column=person"]
    words.append("data.tasks={outcome: {classes: [A, N]}}")
    cohort = read_cohort(compose(words).data)
    split = stratify(cohort, 2, 0, rule=SplitRule(by="patient"))
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json").by == "patient"
    assert "person on two sides" in kinds(
        audit(cohort, read_folds(tmp_path / "split.json", cohort))
    )
