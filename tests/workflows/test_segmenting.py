"""A run with a frame branch: what it says of the heart cycle, and `segment` on recordings."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support.project import Silent, kfold_hs

import kfold_hs as kf
from kfold_hs.bundle.audio_reader import AudioReader, bank_of
from kfold_hs.bundle.format import write_content
from kfold_hs.bundle.inputs import find_patients
from kfold_hs.cohort.segmentation import read_segmentation
from kfold_hs.cohort.synthetic.dataset import cohort_folder
from kfold_hs.config.compose import compose
from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.judge.results.summary import Summary
from kfold_hs.learn.frames.beats import beat_confidence
from kfold_hs.learn.frames.decoding import decode
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.predictions.segmentation import (
    by_recording,
    read_segmentation_table,
    segmentation_of,
)
from kfold_hs.report.gallery import view
from kfold_hs.workflows import bundles, cross_validation, segmenting
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.segmenting import SegmentOptions, segment

N_PATIENTS = 24
SMALL = [
    "model=tiny", "features.n_mels=24", "features.n_fft=256", "features.hop_s=0.02",
    "train.crop_frames=64", "train.epochs=1", "split.n_folds=2", "judge.band_resamples=0",
    "train.batch_size=8",
]  # fmt: skip
ON = ["frames=cycle", "frames.epochs=12", "frames.channels=24", "frames.batch_size=8"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `one` of simulated people, whose gallery shows two, and its `bundle`."""
    folder = tmp_path_factory.mktemp("cycle")
    words = [f"data.n_patients={N_PATIENTS}", *SMALL, *ON, "judge.gallery.patients=2"]
    options = RunOptions(root=folder, name="one", device="cpu")
    cross_validation.run(compose(words), Silent(), options, gallery=True)
    bundles.export(folder / "reports/one", folder / "bundle", Silent())
    return folder


@pytest.fixture(scope="module")
def people() -> Path:
    """The recordings that the run was made of, with their marks; do not change them."""
    return cohort_folder(N_PATIENTS, 0) / "recordings"


def ids_of(made: Path, n: int) -> list[str]:
    """The first recordings of the run."""
    table = read_segmentation_table(made / "reports/one/segmentation.parquet")
    return [str(each) for each in sorted(set(table["recording_id"]))[:n]]


def copied(people: Path, to: Path, names: list[str]) -> Path:
    """Recordings in a folder, without marks."""
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(people / f"{name}.wav", to)
    return to


def table_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "segmentation.csv", dtype={"recording": str, "problem": str})


# --- the run ------------------------------------------------------------------------------------


def test_the_run_says_how_well_it_found_the_cycle(made: Path) -> None:
    content = json.loads((made / "reports/one/summary.json").read_text())
    found = content["segmentation"]
    assert found["sounds"]["S1"]["f1"]["value"] > 0.7
    assert found["sounds"]["S1"]["n_marked"] > 300
    assert found["states"]["value"] > 0.5
    assert found["n_without"] == 0
    assert found["sentence"].startswith("F1 of S1 onsets 0.")
    assert Summary.from_json(content).to_json() == content
    page = (made / "reports/one/report.html").read_text()
    assert '<h3 id="heart-cycle">Heart cycle</h3>' in page
    assert found["sentence"] in page
    # Of an earlier version, or of a run without a frame branch: no section, and it is read.
    del content["segmentation"]
    assert Summary.from_json(content).segmentation is None


def test_the_gallery_shows_the_states_of_the_part_that_is_shown(made: Path) -> None:
    content = json.loads((made / "reports/one/gallery.json").read_text())
    table = read_segmentation_table(made / "reports/one/segmentation.parquet")
    whole = by_recording(table)
    shown = [each for p in content["patients"] for each in p["recordings"]]
    assert shown
    for each in shown:
        states = each["states"]
        assert states[0][0] == pytest.approx(each["start_s"], abs=0.011)
        assert states[-1][1] == pytest.approx(each["end_s"], abs=0.031)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(states))
        marked = whole[each["recording_id"]]
        inner = {(round(a, 3), s) for a, s in zip(marked.start_s, marked.state, strict=True)}
        assert {(a, s) for a, _, s in states[1:]} <= inner
        assert 30 < each["cycle"]["heart_rate_bpm"] < 220
        assert 0 <= each["cycle"]["murmur_share"] <= 1
    page = (made / "reports/one/report.html").read_text()
    assert page.count('<svg class="states" viewBox="0 0 1000 12"') == len(shown)
    n_s1 = sum(s == 1 for each in shown for *_, s in each["states"])
    assert page.count('<rect class="s1"') == n_s1 + 1  # and the key
    # A gallery of an earlier version has no states.
    for each in shown:
        del each["states"], each["cycle"]
    old = view(content, {}, None)
    assert not old["has_states"]
    assert old["patients"][0]["recordings"][0]["states"] == []


# --- segment ------------------------------------------------------------------------------------


def test_people_of_the_run_get_what_the_run_found_out_of_fold(
    made: Path, people: Path, tmp_path: Path
) -> None:
    names = ids_of(made, 8)
    given = copied(people, tmp_path / "given", names)
    done = segment(
        made / "bundle", [given], tmp_path / "out", Silent(), SegmentOptions("cpu", confidence=0)
    )
    assert done.counts == {"segmented": 8, "known": 8, "empty": 0, "not_segmented": 0}
    run = by_recording(read_segmentation_table(made / "reports/one/segmentation.parquet"))
    predictions = pd.read_parquet(made / "reports/one/predictions.parquet")
    said = predictions[predictions["level"] == "recording"].set_index("recording_id")
    table = table_of(tmp_path / "out").set_index("recording")
    assert sorted(table.index) == names
    for name in names:
        found = read_segmentation(tmp_path / f"out/{name}.tsv", 1e9)
        np.testing.assert_allclose(found.start_s, run[name].start_s, atol=1e-4)
        assert found.state.tolist() == run[name].state.tolist()
        row = table.loc[name]
        assert (row["known"], row["n_models"], row["segmented"]) == ("yes", 1, 1.0)
        for ours, pooled in (("confidence", "quality.min"), ("murmur", "murmur.max")):
            assert row[ours] == pytest.approx(said.loc[name, f"cycle.{pooled}"], abs=1e-6)
        duration_s = len(_samples(people / f"{name}.wav")) / 4000
        assert found.end_s.max() <= duration_s + 1e-4


def _samples(path: Path) -> Any:
    return soundfile.read(path)[0]


def test_beats_that_are_not_sure_enough_are_not_annotated(
    made: Path, people: Path, tmp_path: Path
) -> None:
    names = ids_of(made, 3)
    given = copied(people, tmp_path / "given", names)
    shares = []
    sure = kf.load_bundle(made / "bundle").segment(given, device="cpu").recordings["confidence"]
    for k, confidence in enumerate((0.0, float(sure.median()), 1.0)):
        options = SegmentOptions("cpu", confidence)
        segment(made / "bundle", [given], tmp_path / str(k), Silent(), options)
        table = table_of(tmp_path / str(k))
        for name, share in zip(table["recording"], table["segmented"], strict=True):
            found = read_segmentation(tmp_path / f"{k}/{name}.tsv", 1e9)
            marked = float((found.end_s - found.start_s)[found.state > 0].sum())
            assert marked / found.end_s.max() == pytest.approx(share, abs=0.01)
        shares.append(table["segmented"].mean())
    assert shares[0] == 1
    assert 0.1 < shares[1] < 0.9
    assert shares[2] == 0
    sentence = segment(
        made / "bundle", [given], tmp_path / "2", Silent(), SegmentOptions("cpu", 1.0)
    ).sentences[1]
    assert sentence == "3 recordings have no beat that is sure enough."


def test_confidence_is_the_mean_over_a_beat_from_s1_to_s1() -> None:
    states = np.array([4, 4, 1, 2, 3, 4, 1, 1, 2], dtype=np.int8)
    of_own = np.array([0.2, 0.4, 0.9, 0.5, 0.7, 0.3, 0.4, 0.6, 0.8])
    probs = np.full((9, 6), 1e-9)
    probs[np.arange(9), states - 1] = of_own
    probs[3, [1, 4]] = 0.2, 0.3  # a murmuring systole is systole
    expected = [0.3] * 2 + [0.6] * 4 + [0.6] * 3
    np.testing.assert_allclose(beat_confidence(states, np.log(probs)), expected, atol=1e-6)


def test_new_people_are_asked_of_all_models_once(made: Path, people: Path, tmp_path: Path) -> None:
    name = ids_of(made, 1)[0]
    samples = _samples(people / f"{name}.wav")
    (tmp_path / "new").mkdir()
    soundfile.write(tmp_path / "new/x.wav", samples[2000:], 4000, subtype="PCM_16")
    models = kf.load_bundle(made / "bundle")
    given = models.segment(tmp_path / "new", device="cpu", confidence=0)
    row = given.recordings.iloc[0]
    assert (row["known"], row["scored_by"], row["n_models"]) == ("no", "all", 2)
    # By hand: the mean of their probabilities, decoded by the mean of their times.
    bundle, device = models.bundle, torch.device("cpu")
    reader = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])
    audio = reader.read(find_patients([tmp_path / "new"], bundle.config.data).patients[0])
    bank = bank_of([audio], bundle.config.features.normalise == "recording", device)
    branches = [bundle.branch(each, device) for each in bundle.members]
    probs = np.mean([np.exp(each.log_probs(bank, 0)) for each in branches], axis=0)
    times = [each.sojourn.to_dict() for each in branches]
    mean = {name: np.mean([each[name] for each in times], axis=0) for name in times[0]}
    decoded = decode([np.log(probs)], Sojourn.from_dict(mean), branches[0].frame_s)[0]
    expected = segmentation_of(decoded.states, branches[0].frame_s)
    assert given.states["state"].tolist() == expected.state.tolist()
    np.testing.assert_allclose(given.states["start_s"], expected.start_s)
    # One alone says something else, and nothing of the people that it was trained on.
    alone = [each.segment(tmp_path / "new", device="cpu").recordings for each in models]
    assert len({row["confidence"], *(float(each["confidence"].iloc[0]) for each in alone)}) == 3
    copied(people, tmp_path / "old", [name])
    found = [each.segment(tmp_path / "old", device="cpu") for each in models]
    assert sorted(len(each.states) > 0 for each in found) == [False, True]
    problems = {each.recordings["problem"].iloc[0] for each in found}
    assert problems == {"", "every model was trained on this person"}


def test_silence_has_no_heart_rate(made: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "still.wav", np.zeros(32_000), 4000, subtype="PCM_16")
    row = kf.load_bundle(made / "bundle").segment(tmp_path, device="cpu").recordings.iloc[0]
    assert "silent" in row["quality"]
    assert row[["heart_rate_bpm", "murmur", "murmur_share"]].isna().all()


def test_each_lies_where_its_recording_lies(made: Path, people: Path, tmp_path: Path) -> None:
    first, second = ids_of(made, 2)
    copied(people, tmp_path / "in/a", [first])
    copied(people, tmp_path / "in/b/c", [first, second])
    (tmp_path / "in/broken.wav").write_bytes(b"RIFF")
    done = kfold_hs("segment", made / "bundle", "in", "-o", "in", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 could not be segmented; `problem` says why." in " ".join(done.stderr.split())
    found = sorted(p.relative_to(tmp_path / "in").as_posix() for p in tmp_path.rglob("*.tsv"))
    assert found == [f"a/{first}.tsv", f"b/c/{first}.tsv", f"b/c/{second}.tsv"]
    table = table_of(tmp_path / "in")
    assert sorted(table["file"].dropna()) == found
    broken = table[table["recording"] == "broken"].iloc[0]
    assert "broken.wav" in broken["problem"]
    assert pd.isna(broken["file"])


def test_somebodys_marks_are_kept(made: Path, people: Path, tmp_path: Path) -> None:
    names = ids_of(made, 3)
    given = copied(people, tmp_path / "in", names)
    by_hand, ours = given / f"{names[0]}.tsv", given / f"{names[1]}.tsv"
    by_hand.write_text("0.1\t0.2\t1\n")
    options = SegmentOptions("cpu", confidence=0)
    with pytest.raises(ConfigError, match=f"1 file is not what .*{names[0]}.tsv.*--force"):
        segment(made / "bundle", [given], given, Silent(), options)
    assert not ours.exists()
    assert by_hand.read_text() == "0.1\t0.2\t1\n"
    by_hand.unlink()
    segment(made / "bundle", [given], given, Silent(), options)
    first = ours.read_text()
    # What the command wrote itself it writes again, in one go or in two.
    segment(made / "bundle", [given], given, Silent(), SegmentOptions("cpu", confidence=1))
    assert ours.read_text() != first
    segment(made / "bundle", [given / f"{names[1]}.wav"], given, Silent(), options)
    assert ours.read_text() == first
    assert sorted(table_of(given)["recording"]) == names
    # What was corrected since is somebody's again.
    ours.write_text(first.replace("\t1\n", "\t2\n", 1))
    with pytest.raises(ConfigError, match=f"{names[1]}.tsv"):
        segment(made / "bundle", [given], given, Silent(), options)
    forced = SegmentOptions("cpu", confidence=0, force=True)
    segment(made / "bundle", [given], given, Silent(), forced)
    assert ours.read_text() == first


def test_a_command_that_was_interrupted_can_be_repeated(
    made: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = copied(people, tmp_path / "in", ids_of(made, 3))
    segment(made / "bundle", [given], given, Silent(), SegmentOptions("cpu", confidence=0))
    written: list[Path] = []

    def write_some(path: Path, text: str) -> None:
        if len(written) == 2:  # the table and one of the files
            raise KeyboardInterrupt
        written.append(path)
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr(segmenting, "write_text", write_some)
        with pytest.raises(KeyboardInterrupt):
            segment(made / "bundle", [given], given, Silent(), SegmentOptions("cpu", confidence=1))
    done = segment(made / "bundle", [given], given, Silent(), SegmentOptions("cpu", confidence=1))
    assert done.counts["empty"] == 3
    assert len(table_of(given)) == 3


def test_what_cannot_be_done_says_why(made: Path, people: Path, tmp_path: Path) -> None:
    name = ids_of(made, 1)[0]
    for folder in "ab":
        copied(people, tmp_path / folder, [name])
    both = [tmp_path / "a" / f"{name}.wav", tmp_path / "b" / f"{name}.wav"]
    with pytest.raises(ConfigError, match=r"would all be segmented in .*out"):
        segment(made / "bundle", both, tmp_path / "out", Silent())
    with pytest.raises(ConfigError, match=r"--confidence 1\.5 must lie between 0"):
        SegmentOptions("cpu", confidence=1.5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/segmentation.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="no table of kfold-hs segment: it has no column file"):
        segment(made / "bundle", [tmp_path / "a"], tmp_path / "out", Silent())
    plain = tmp_path / "plain"
    shutil.copytree(made / "bundle", plain)
    _without_branches(plain)
    with pytest.raises(BundleError, match="its run had frames=none"):
        segment(plain, [tmp_path / "a"], tmp_path / "new", Silent())
    assert not (tmp_path / "new").exists()


def _without_branches(bundle: Path) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    content["models"] = [{**each, "frames": None} for each in content["models"]]
    content["stacking"] = {}
    write_content(bundle, content)


@pytest.mark.slow
def test_recordings_that_nobody_marked_can_be_aligned(
    made: Path, people: Path, tmp_path: Path
) -> None:
    source = pd.read_csv(people.parent / "table.csv", dtype=str)
    kept = source["recording_id"].isin(source["recording_id"].groupby(source["patient_id"]).first())
    copied(people, tmp_path / "recordings", source.loc[kept, "recording_id"].tolist())
    source[kept].to_csv(tmp_path / "table.csv", index=False)
    words = ["data=table", f"data.path={tmp_path / 'table.csv'}", "data.person_column=person_id"]
    words += ["data.site_column=site", *SMALL, "train.align=cycle"]
    failed = kfold_hs("run", "-q", *words, cwd=tmp_path)
    assert "let `kfold-hs segment` write them" in " ".join(failed.stderr.split())
    segmented = kfold_hs("segment", made / "bundle", ".", "-o", ".", cwd=tmp_path)
    assert segmented.returncode == 0, segmented.stderr
    assert len(list((tmp_path / "recordings").glob("*.tsv"))) == kept.sum()
    done = kfold_hs("run", "-q", "--device", "cpu", "--name", "aligned", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports/aligned/report.html").is_file()
