"""The audit finds what was planted, and nothing in what is honest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import TINY, Silent, kfold_hs
from scipy import signal

from kfold_hs import cohort as cohorts
from kfold_hs import experiment
from kfold_hs.cohort import Cohort
from kfold_hs.cohort.people import draw_patients, render
from kfold_hs.config import compose
from kfold_hs.errors import CohortError, SplitError
from kfold_hs.splits import Split, stratify
from kfold_hs.splits.audit import Finding, audit, refuse_leaks, same_people
from kfold_hs.splits.fingerprint import SAME, correlation_at, matches, sound
from kfold_hs.splits.foreign import folds_of_recordings, read_folds

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
    return cohorts.load(compose([*TINY, f"data.path={path}", *words]).data)


def kinds(findings: list[Finding], leaks: bool = True) -> list[str]:
    return [finding.kind for finding in findings if finding.is_leak == leaks]


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
        "person p7: patient p1 (1 recordings) in fold 0, patient p7 (1 recordings) in fold 1",
    )
    with pytest.raises(SplitError, match="this split leaks, and nothing was trained"):
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
    [("a\np1\n", "has 1 column"), ("a,b\np1,\n", "line 2 holds one id"),
     ("a,b\np1,p99\n", "names p99, which are neither")],
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
    (finding,) = audit(cohorts.load(compose(words).data))
    assert (finding.kind, finding.is_leak) == ("telling covariate", False)
    assert all(item.startswith("hospital tells outcome") for item in finding.items)


def test_silence_matches_nothing() -> None:
    rng = np.random.default_rng(0)
    silent = [sound(np.zeros(RATE * 5, dtype=np.float32), RATE) for _ in range(3)]
    assert matches([*silent, sound(rng.standard_normal(RATE * 5), RATE)]) == []
    assert matches([]) == []


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
    assert "LEAK  near copy: 1 pairs of recordings" in found.stdout
    words = ["data.aliases=split.aliases.csv", "split.file=split.json", "split.n_folds=2"]
    assert " ".join(words) in found.stdout
    assert kfold_hs("audit", "split.json", *data, words[0], cwd=tmp_path).returncode == 0
    as_json = json.loads(kfold_hs("audit", *data, "--json", "-q", cwd=tmp_path).stdout)
    assert [f["kind"] for f in as_json if f["is_leak"]] == ["near copy"]
    refused = kfold_hs("run", *data, "split.file=folds.csv", cwd=tmp_path)
    assert refused.returncode == 1
    assert "this split leaks, and nothing was trained" in refused.stderr
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


def test_the_leak_can_be_seen(tmp_path: Path) -> None:
    """Labels are noise: by person nothing is learnt, by patient id the person is known again."""
    words = [
        "data=table", f"data.path={signatures(tmp_path)}", "data.person_column=person",
        "data.tasks={outcome: {classes: [A, N]}}", "features.n_mels=32", "features.hop_s=0.08",
        "train.crop_frames=24", "train.epochs=12", "train.batch_size=16", "split.n_folds=3",
        "augment=none", "split.audit=false",
    ]  # fmt: skip
    auroc = {}
    for by in ("person", "patient"):
        result = experiment.run(compose([*words, f"split.by={by}"]), Silent(), root=tmp_path)
        auroc[by] = result.summary["tasks"]["outcome"]["metrics"]["auroc"]["value"]
        page = result.paths.report.read_text()
        assert ("Split by patient id (split.by=patient):" in page) == (by == "patient")
    assert 0.25 < auroc["person"] < 0.75
    assert auroc["patient"] > 0.9


def test_by_patient_is_named_by_the_audit(tmp_path: Path) -> None:
    words = ["data=table", f"data.path={signatures(tmp_path, 8, 2)}", "data.person_column=person"]
    words.append("data.tasks={outcome: {classes: [A, N]}}")
    cohort = cohorts.load(compose(words).data)
    split = stratify(cohort, 2, 0, by="patient")
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json").by == "patient"
    assert "person on two sides" in kinds(
        audit(cohort, read_folds(tmp_path / "split.json", cohort))
    )
