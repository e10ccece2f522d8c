"""The built-in cohort: deterministic, lawful, and not to be solved by loudness alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.segmentation import read_segmentation
from kfold_hs.cohort.synthetic.dataset import _segmentation, ensure_cohort, write_cohort
from kfold_hs.cohort.synthetic.people import draw_patients, render
from kfold_hs.cohort.synthetic.phonocardiogram import SAMPLE_RATE_HZ, Beats, Phonocardiogram
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, StorageError


def test_same_seed_same_bytes_and_fewer_are_the_first_of_more(tmp_path: Path) -> None:
    one = write_cohort(tmp_path / "one", 10, seed=3)
    two = write_cohort(tmp_path / "two", 14, seed=3)
    other = write_cohort(tmp_path / "other", 10, seed=4)
    names = [path.name for path in sorted((one.parent / "recordings").iterdir())]
    for name in names:
        first = (one.parent / "recordings" / name).read_bytes()
        assert first == (two.parent / "recordings" / name).read_bytes()
    assert two.read_text().startswith(one.read_text())
    assert one.read_text() != other.read_text()
    assert {Path(name).suffix for name in names} == {".wav", ".tsv"}
    found = soundfile.info(one.parent / "recordings" / names[1])
    assert (found.samplerate, found.channels, found.subtype) == (4000, 1, "PCM_16")
    assert 8 <= found.duration <= 12


def test_cohort_is_lawful_and_has_linked_patients() -> None:
    cohort = read_cohort(compose(["data.n_patients=40"]).data)
    assert cohort.name == "synthetic"
    assert cohort.n_patients == 40
    assert cohort.n_persons < 40
    assert cohort.recordings["murmur"].notna().all()
    assert ensure_cohort(40, 0).is_file()


def test_true_heart_cycles_lie_beside_the_recordings(tmp_path: Path) -> None:
    write_cohort(tmp_path / "x", 10, seed=3)
    patient = draw_patients(10, 3)[0]
    recording = patient.recordings[0]
    path = tmp_path / "x" / "recordings" / f"{recording.recording_id}.tsv"
    rows = np.loadtxt(path)
    assert rows[0, 0] == 0
    assert rows[-1, 1] == pytest.approx(recording.duration_s, abs=1e-3)
    np.testing.assert_array_equal(rows[1:, 0], rows[:-1, 1])  # without a gap
    assert (rows[:, 1] > rows[:, 0]).all()
    assert [int(state) for state in rows[:, 2]] == [0, *[1, 2, 3, 4] * (len(rows) // 4), 0]
    beats = render(recording).beats
    onsets = read_segmentation(path.with_suffix(".wav"), recording.duration_s).s1_onsets
    inside = (beats.s1_s >= 0) & (beats.s1_s < recording.duration_s)
    np.testing.assert_allclose(onsets, beats.s1_s[inside][:-1], atol=1e-4)


def test_the_marks_of_the_fastest_hearts_are_in_order(tmp_path: Path) -> None:
    """At 200 beats a minute S2 begins before S1 would have faded out."""
    s1_s = np.arange(-0.1, 2.2, 0.3)
    beats = Beats(s1_s, s1_s[:-1] + 0.108, np.zeros(len(s1_s) - 1))
    path = tmp_path / "fast.wav"
    path.with_suffix(".tsv").write_text(_segmentation(beats, 2.0))
    found = read_segmentation(path, 2.0)
    assert (found.end_s > found.start_s).all()
    np.testing.assert_allclose(found.start_s[1:], found.end_s[:-1])
    np.testing.assert_allclose(found.onsets(2) - found.s1_onsets, 0.054, atol=1e-4)


def test_shares_are_those_of_the_real_table() -> None:
    patients = draw_patients(400, seed=1)
    murmur = pd.Series([p.murmur for p in patients]).value_counts(normalize=True)
    assert murmur["Present"] == pytest.approx(0.20, abs=0.03)
    assert murmur["Unknown"] == pytest.approx(0.08, abs=0.03)
    outcome = pd.Series([p.outcome for p in patients]).value_counts(normalize=True)
    assert outcome["Abnormal"] == pytest.approx(0.5, abs=0.08)
    persons = pd.Series([p.person_id for p in patients]).value_counts()
    assert set(persons) == {1, 2}
    assert (persons == 2).mean() == pytest.approx(0.07, abs=0.04)
    present = [p for p in patients if p.murmur == "Present"]
    heard = [r.murmur_at_site for p in present for r in p.recordings]
    assert 0.05 < np.mean([h == "Absent" for h in heard]) < 0.5
    assert all(any(r.murmur_at_site == "Present" for r in p.recordings) for p in present)
    assert any(p.outcome == "Normal" for p in present)


def band_levels(pcg: Phonocardiogram) -> np.ndarray:
    """Mean power in eight bands of the whole recording, in dB."""
    edges = np.geomspace(20, 1000, 9)
    hz, power = signal.welch(pcg.samples / 32768, SAMPLE_RATE_HZ, nperseg=512)
    return np.array(
        [
            10 * np.log10(power[(hz >= low) & (hz < high)].mean() + 1e-12)
            for low, high in itertools.pairwise(edges)
        ]
    )


def systole_over_diastole(pcg: Phonocardiogram) -> float:
    """Power at 100-500 Hz within systole over that within diastole, in dB."""
    sos = signal.butter(3, (100, 500), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    power = signal.sosfilt(sos, pcg.samples / 32768) ** 2
    times_s = np.arange(len(power)) / SAMPLE_RATE_HZ
    systole = pcg.beats.share("systole", times_s)
    diastole = pcg.beats.share("diastole", times_s)
    inside, after = (systole > 0.45) & (systole < 0.9), (diastole > 0.5) & (diastole < 0.8)
    # Medians over samples: a knock or a cry is no murmur.
    return float(10 * np.log10(np.median(power[inside]) / np.median(power[after])))


@pytest.mark.slow
def test_energy_alone_does_not_tell_but_timing_does() -> None:
    patients = draw_patients(80, seed=0)
    sounds = [[render(recording) for recording in patient.recordings] for patient in patients]
    present = np.array([patient.murmur == "Present" for patient in patients])
    persons = [patient.person_id for patient in patients]
    levels = [np.array([band_levels(pcg) for pcg in each]) for each in sounds]
    features = np.array([np.r_[each.mean(axis=0), each.max(axis=0)] for each in levels])
    score = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.1)),
        features, present, groups=persons, cv=GroupKFold(5), method="decision_function",
    )  # fmt: skip
    by_energy = roc_auc_score(present, score)
    by_timing = roc_auc_score(
        present, [max(systole_over_diastole(pcg) for pcg in each) for each in sounds]
    )
    assert by_energy < 0.85
    assert by_timing > by_energy + 0.05
    assert by_timing < 0.995


@pytest.mark.parametrize(
    ("n_patients", "seed", "match"),
    [(9, 0, "n_patients=9"), (100_001, 0, "n_patients=100001"), (20, -1, "seed=-1")],
)
def test_bounds(n_patients: int, seed: int, match: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=match):
        write_cohort(tmp_path / "x", n_patients, seed)


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(StorageError, match="not empty"):
        write_cohort(tmp_path, 10, 0)
    assert (tmp_path / "mine").read_text() == "keep"
