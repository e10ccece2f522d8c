"""What a frame may be, by what somebody marked; and how long states last, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.project import TINY, write_table

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.readers.table import cohort_of_frame
from kfold_hs.cohort.segmentation import Segmentation, read_segmentation
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.learn.frames.sojourn import LEAST_SHARE, Sojourn
from kfold_hs.learn.frames.targets import FrameTargets, marks_digest

# Frames of 40 ms: S1 0-2, systole 3-12, S2 13-14, diastole 15-24, and not annotated.
MARKS = "0\t0.1\t1\n0.1\t0.5\t2\n0.5\t0.6\t3\n0.6\t1.0\t4\n1.0\t2.0\t0\n"
S1, SYSTOLE, S2, DIASTOLE, SYSTOLIC, DIASTOLIC = (1 << k for k in range(6))
SOUND = np.array([S1] * 3 + [SYSTOLE] * 10 + [S2] * 2 + [DIASTOLE] * 10 + [0] * 26)


def made(
    folder: Path, timing: str = "", marks: str = MARKS, *words: str, **columns: list[str]
) -> tuple[Config, Cohort]:
    """Four patients: murmur Present, Absent, Unknown, Absent."""
    path = write_table(folder, n_patients=4, n_recordings=1)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.assign(timing=timing, **columns).to_csv(path, index=False)
    for i in range(4):
        (folder / f"p{i}_0.tsv").write_text(marks)
    words = (f"data.path={path}", "data.timing_column=timing", "frames=cycle", *words)
    config = compose([*TINY, *words])
    return config, read_cohort(config.data)


def targets(config: Config, cohort: Cohort) -> FrameTargets:
    lengths = np.full(cohort.n_recordings, len(SOUND))
    return FrameTargets.of(config, cohort, np.arange(cohort.n_recordings), lengths)


def of_present(timing: str, folder: Path) -> np.ndarray:
    return targets(*made(folder, timing)).allowed[0].astype(int)


def changed(**stretches: int) -> np.ndarray:
    found = SOUND.copy()
    for stretch, value in stretches.items():
        first, last = map(int, stretch[1:].split("_"))
        found[first:last] = value
    return found


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        # Systole lasts from 0.1 to 0.5 s: frames 3 to 12 are 0.05, 0.15, ... 0.95 of it.
        ("Holosystolic", changed(f3_13=SYSTOLIC)),
        ("Early-systolic", changed(f3_8=SYSTOLIC)),
        ("Mid-systolic", changed(f5_11=SYSTOLIC)),
        ("late-systolic", changed(f8_13=SYSTOLIC)),
        # Diastole from 0.6 s: frame 15 is 0 of it, frame 20 its half.
        ("Early-diastolic", changed(f15_21=DIASTOLIC)),
        ("Holosystolic+Early-diastolic", changed(f3_13=SYSTOLIC, f15_21=DIASTOLIC)),
        ("Early-systolic + Late-systolic", changed(f3_13=SYSTOLIC)),
        ("", changed(f3_13=SYSTOLE | SYSTOLIC, f15_25=DIASTOLE | DIASTOLIC)),
    ],
)
def test_a_murmur_is_where_its_timing_says(
    timing: str, expected: np.ndarray, tmp_path: Path
) -> None:
    np.testing.assert_array_equal(of_present(timing, tmp_path), expected)


def test_who_has_none_has_none_and_of_whom_nobody_knows_may(tmp_path: Path) -> None:
    found = targets(*made(tmp_path, "Holosystolic"))
    np.testing.assert_array_equal(found.recordings, range(4))
    for patient in (1, 3):
        np.testing.assert_array_equal(found.allowed[patient], SOUND)
    either = changed(f3_13=SYSTOLE | SYSTOLIC, f15_25=DIASTOLE | DIASTOLIC)
    np.testing.assert_array_equal(found.allowed[2], either)


def test_the_label_of_a_recording_counts_before_that_of_its_patient(tmp_path: Path) -> None:
    words = "data.tasks.murmur.recording_column=own"
    found = targets(*made(tmp_path, "Holosystolic", MARKS, words, own=["Absent", "", "", ""]))
    np.testing.assert_array_equal(found.allowed[0], SOUND)


def test_states_alone(tmp_path: Path) -> None:
    found = targets(*made(tmp_path, "Holosystolic", MARKS, "frames.task=null"))
    assert found.n_classes == 4
    for allowed in found.allowed:
        np.testing.assert_array_equal(allowed, SOUND)


def test_marks_beyond_the_end_overlapping_and_none(tmp_path: Path) -> None:
    """A later row rules; what goes on after the end is cut; who has no mark is no example."""
    config, cohort = made(tmp_path, "", "0 0.4 4\n0.2 0.3 1\n1.9 7 2\n3 4 1\n5 6 1\n0.3 0.3 9\n")
    (tmp_path / "p1_0.tsv").unlink()
    (tmp_path / "p2_0.tsv").write_text("0 2 0\n")
    found = targets(config, cohort)
    assert found.recordings.tolist() == [0, 3]
    expected = [DIASTOLE] * 5 + [S1] * 3 + [DIASTOLE] * 2 + [0] * 38 + [SYSTOLE] * 2 + [0]
    np.testing.assert_array_equal(found.allowed[1], expected)


def test_digests_hold_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    config, cohort = made(tmp_path, "Holosystolic")
    one, marks = targets(config, cohort), marks_digest(config, cohort)
    assert set(marks) == {"marks"}
    assert marks_digest(compose([*TINY, f"data.path={tmp_path / 'table.csv'}"]), cohort) == {}
    assert targets(config, cohort).digest == one.digest
    (tmp_path / "p1_0.tsv").write_text(MARKS.replace("0.6", "0.58"))
    assert targets(config, cohort).digest != one.digest
    assert marks_digest(config, cohort) != marks
    everybody = np.full(cohort.n_recordings, len(SOUND))
    others = [FrameTargets.of(config, cohort, np.array([0, 2, 3]), everybody) for _ in range(1)]
    (tmp_path / "p1_0.tsv").write_text(MARKS)
    again = FrameTargets.of(config, cohort, np.array([0, 2, 3]), everybody)
    assert others[0].digest == again.digest
    other = targets(*made(tmp_path, "Early-systolic"))
    assert other.digest != one.digest


@pytest.mark.parametrize(
    "line",
    ["nan nan 1", "nan 0.5 1", "0.2 inf 1", "-1 0.5 1", "0.5 0.2 1", "0 1e999 2", "0 0.5 5",
     "0 0.5 1.5", "0 0.5", "0 0.5 1 x", "zero 0.5 1", "0,5 0,7 1", "0 0.5 nan"],
)  # fmt: skip
def test_a_line_that_is_no_stretch_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(f"0 0.1 1\n{line}\n")
    with pytest.raises(CohortError, match=r"a\.tsv, line 2: .* is not start .*remove the file"):
        read_segmentation(tmp_path / "a.wav", 2.0)


def test_files_of_other_editors_are_read_and_what_is_no_text_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    for content in (b"\xef\xbb\xbf0\t0.1\t1\r\n\r\n", "0\t0.1\t1\n".encode("utf-16"), b" 0 .1 1.0"):
        path.write_bytes(content)
        found = read_segmentation(tmp_path / "a.wav", 2.0)
        assert (found.start_s, found.end_s, found.state) == ([0], [0.1], [1])
    path.write_bytes(b"\x00\xff\x81\x00" * 9)
    with pytest.raises(CohortError, match=r"a\.tsv"):
        read_segmentation(tmp_path / "a.wav", 2.0)
    path.write_bytes(b"")
    assert read_segmentation(tmp_path / "a.wav", 2.0).is_empty


def test_a_timing_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"recording p0_0\.wav.* is systolic.*holosystolic.*plus"):
        made(tmp_path, "systolic")
    wrong = compose([*TINY, f"data.path={tmp_path / 'table.csv'}", "data.timing_column=timin"])
    with pytest.raises(CohortError, match=r"data\.timing_column"):
        read_cohort(wrong.data)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("frames=cycle frames.task=heart", "is none of the tasks murmur, outcome"),
        ("frames.lr=1", "frames.epochs=0 trains none"),
        (
            "frames=cycle features=waveform augment=none train.crop_frames=6000",
            "makes a frame of 1 band every 0.5 ms",
        ),
        ("frames=cycle features.hop_s=0.06", "60 ms"),
        ("frames=cycle features.n_mels=7", "8 bands or more"),
        ("frames=cycle frames.batch_size=65536 frames.crop_s=60", "GiB a layer"),
        ("frames=cycle frames.crop_s=0.5", "crop_s"),
    ],
)
def test_settings_of_which_nothing_could_come_are_refused(words: str, told: str) -> None:
    tiny = ["data=table"] if "waveform" in words else TINY
    with pytest.raises(ConfigError, match=told):
        compose([*tiny, "data.path=x.csv", *words.split()])


# Times in states: by hand


def marked(*cycles: tuple[float, float, float, float]) -> Segmentation:
    times = np.array(cycles).ravel()
    ends = np.cumsum(times)
    return Segmentation(ends - times, ends, np.tile([1, 2, 3, 4], len(cycles)))


def test_times_are_lines_over_the_cycle() -> None:
    """At 0.8 and 1.0 s a cycle; within the second, systole goes 0.05 s either way."""
    slow = [(0.1, 0.25, 0.1, 0.55), (0.1, 0.35, 0.1, 0.45)]
    found = Sojourn.fit([marked((0.1, 0.25, 0.1, 0.35)), marked(*slow)])
    np.testing.assert_allclose(found.slope, [0, 0.25, 0, 0.75], atol=1e-12)
    np.testing.assert_allclose(found.at_zero_s, [0.1, 0.05, 0.1, -0.25], atol=1e-12)
    spread = 0.05 / np.sqrt(2)  # two recordings, one without any
    np.testing.assert_allclose(found.sd_s, [0, spread, 0, spread], atol=1e-12)
    mean, sd = found.times_s(np.array([0.9, 0.5]))
    np.testing.assert_allclose(mean[0], [0.1, 0.275, 0.1, 0.425])
    np.testing.assert_allclose(mean.sum(axis=1), [0.9, 0.5])
    np.testing.assert_allclose(sd[0], [0.01, spread, 0.01, LEAST_SHARE * 0.425], rtol=1e-6)
    assert Sojourn.from_dict(found.to_dict()) == found


def test_a_cohort_of_one_rate_has_times_in_proportion() -> None:
    for recordings in ([marked((0.1, 0.3, 0.1, 0.3))], [marked((0.1, 0.3, 0.1, 0.3))] * 3):
        found = Sojourn.fit(recordings)
        assert found.at_zero_s == (0, 0, 0, 0)
        mean, sd = found.times_s(np.array([0.4, 1.2]))
        np.testing.assert_allclose(mean, [[0.05, 0.15, 0.05, 0.15], [0.15, 0.45, 0.15, 0.45]])
        assert (sd > 0).all()


def test_times_beyond_those_seen_stay_times() -> None:
    """Lines that cross zero: no state is shorter than a heart sound can be."""
    steep = [marked((0.05, 0.1, 0.05, 0.8)), marked((0.05, 0.3, 0.05, 0.62))]
    mean, sd = Sojourn.fit(steep).times_s(np.geomspace(0.3, 1.5, 16))
    assert (mean > 0).all()
    assert (sd > 0).all()
    np.testing.assert_allclose(mean.sum(axis=1), np.geomspace(0.3, 1.5, 16))


def test_nobody_in_whom_all_states_are_marked() -> None:
    half = Segmentation(np.array([0.0]), np.array([0.1]), np.array([1]))
    assert Sojourn.fit([half, marked((0.1, 0.3, 0.1, 0.3))]).slope[1] == pytest.approx(0.375)
    with pytest.raises(CohortError, match=r"in none of 2 segmented.*frames=none"):
        Sojourn.fit([half, half])


def test_a_plug_ins_reader_says_when_murmurs_sound(tmp_path: Path) -> None:
    config, _ = made(tmp_path)
    table = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
    table["recording"] = [str(tmp_path / name) for name in table["recording"]]
    given = table.drop(columns="timing").assign(murmur_timing="Early-systolic")
    found = targets(config, cohort_of_frame(given, config.data)).allowed[0].astype(int)
    np.testing.assert_array_equal(found, of_present("Early-systolic", tmp_path))
    given["murmur_timing"] = "Never"
    with pytest.raises(CohortError, match=r"the timing of the murmur is Never.*leave it empty"):
        cohort_of_frame(given, config.data)
