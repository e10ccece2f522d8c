"""Who is told worst, what the model looked at, and that none of it can lose or break a page."""

from __future__ import annotations

import base64
import functools
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from click.testing import CliRunner
from PIL import Image
from support.fake_run import fake_run, summary_of
from support.fake_run import page_of as render
from support.project import TINY, Silent

from kfold_hs.cli.main import cli
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError, ConfigError, TrainingError
from kfold_hs.files.paths import write_bytes
from kfold_hs.judge.results.hardest import worst
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.models.network import make_model
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.learn.prediction.gradcam import has_map, look
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.gallery import name, read_gallery, trouble
from kfold_hs.report.gallery_content import is_whole
from kfold_hs.splits import Split
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.gallery.audio import excerpt
from kfold_hs.workflows.gallery.checks import check_held_out, check_same
from kfold_hs.workflows.gallery.exhibit import window
from kfold_hs.workflows.gallery.spectrogram import hz_of, hz_ticks, overlay, spectrogram
from kfold_hs.workflows.gallery.story import GalleryOptions, gallery
from kfold_hs.workflows.options import RunOptions


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """The folder of a run `one` with a gallery of five; its recordings are its own."""
    folder = tmp_path_factory.mktemp("gallery")
    shutil.copytree(shared_table_csv.parent, folder / "data")
    words = [*TINY, f"data.path={folder / 'data/table.csv'}", "train.epochs=2", "n_seeds=2"]
    words += ["judge.gallery.patients=5", "judge.gallery.seconds=1.5"]
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=folder, name="one", device="cpu"), gallery=True
    )
    return folder


def content_of(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "reports/one/gallery.json").read_text())
    assert isinstance(found, dict)
    return found


def page_of(folder: Path) -> str:
    return " ".join((folder / "reports/one/report.html").read_text().split())


# --- who ----------------------------------------------------------------------------------------


def table(rows: list[tuple[str, int, str, float]]) -> Predictions:
    """Patient, repeat, label and p(a) of one task with the classes a and b."""
    found = pd.DataFrame(rows, columns=["patient_id", "repeat", "y.t", "p.t.a"])
    found["p.t.b"] = 1 - found["p.t.a"]
    found = found.assign(level="patient", seed=0, fold=0, epoch=0, recording_id="")
    return Predictions(found.assign(person_id=found["patient_id"]), {"t": ("a", "b")})


def test_the_worst_are_those_of_most_loss_and_ties_are_told() -> None:
    rows = [("x", 0, "a", 0.2), ("w", 0, "a", 0.1), ("z", 0, "b", 0.75), ("y", 0, "a", 0.2)]
    found = worst(table([*rows, ("v", 0, "a", 0.9)]), 2)
    assert [p["patient_id"] for p in found["patients"]] == ["w", "x"]
    assert found["patients"][1]["tasks"]["t"] == {
        "label": "a", "called": "b", "loss": pytest.approx(-np.log(0.2)), "rank": 2,
        "probs": {"a": 0.2, "b": 0.8},
    }  # fmt: skip
    assert found["tasks"]["t"]["n_wrong"] == 4
    assert found["tasks"]["t"]["n_tied"] == 1  # y
    assert found["n_patients"] == 5
    everybody = worst(table(rows), 20)
    assert len(everybody["patients"]) == 4
    assert everybody["tasks"]["t"]["n_tied"] == 0


def test_repeats_count_equally_and_a_certain_mistake_is_finite() -> None:
    rows = [("x", 0, "a", 0.0), ("x", 1, "a", 1.0), ("y", 0, "a", 0.3), ("y", 1, "a", 0.1)]
    first, second = worst(table(rows), 2)["patients"]
    assert first["patient_id"] == "x"
    assert first["tasks"]["t"]["loss"] == pytest.approx(-np.log(1e-15) / 2)
    assert second["tasks"]["t"]["loss"] == pytest.approx(-np.log([0.3, 0.1]).mean())
    assert second["tasks"]["t"]["probs"]["a"] == pytest.approx(0.2)


def test_tasks_take_turns(made: Path) -> None:
    scored = Predictions.read(made / "reports/one/scored.parquet")
    found = worst(scored, 5)["patients"]
    assert [p["chosen_for"] for p in found[:4]] == ["murmur", "outcome"] * 2
    assert len({p["patient_id"] for p in found}) == 5
    assert found[0]["tasks"]["murmur"]["rank"] == 1


# --- what the model looked at -------------------------------------------------------------------


def test_with_an_average_and_a_linear_head_it_is_the_weighted_map(shared_table_csv: Path) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}", "model.pool=avg"])
    config = config.model_copy(
        update={"train": config.train.model_copy(update={"crop_frames": 64})}  # one crop each
    )
    cohort = read_cohort(config.data)
    bank = banks.build(cohort, config.features)
    model = make_model(config.model, cohort.tasks, 3).eval()
    assert has_map(model, 16, 32, torch.device("cpu"))
    task, rows = cohort.tasks[1], np.array([0, 1, 5])
    predictor = Predictor(model, bank, config)
    found = look(predictor, rows, np.array([0, 0, 1]), [(task, 0), (task, 1)])
    n_frames = config.train.crop_frames
    with torch.inference_mode():
        x = bank.crops(torch.from_numpy(rows), torch.zeros(3, dtype=torch.int64), n_frames)
        maps = model.feature_map(x)
        torch.testing.assert_close(model.of_map(maps), model.embed(x))
        # A logit is the mean over the map of w . A, so that each cell's part of it is w . A / size.
        head = next(h for name, h in model.heads.named_modules() if name.endswith(task.name))
        cells = torch.einsum("nchw,nc->nhw", maps, head.weight[[0, 0, 1]]).clamp_min(0)
        cells = cells / cells[0].numel()
    assert found.cells == tuple(cells.shape[1:])
    whole = torch.nn.functional.interpolate(cells[:, None], (16, n_frames), mode="bilinear")
    assert whole.max() > 0
    for each, row, expected in zip(found.maps, rows, whole, strict=True):
        length = int(bank.length[row])
        assert length < n_frames
        np.testing.assert_allclose(each, expected[0, :, :length], rtol=1e-4, atol=1e-7)


def test_patients_are_of_the_fold_that_held_them_out(made: Path) -> None:
    found, split = content_of(made), Split.read(made / "reports/one/split.json")
    predictions = Predictions.read(made / "reports/one/predictions.parquet").table
    assert found["problem"] is None
    assert found["model"] == {"repeat": 0, "seed": 0}
    assert len(found["patients"]) == 5
    for patient in found["patients"]:
        assert split.folds[patient["person_id"]] == (patient["fold"],)
        assert patient["epoch"] == 1
        assert patient["looked_for"] == patient["tasks"][patient["chosen_for"]]["called"]
        for recording in patient["recordings"]:
            rows = predictions[predictions["recording_id"] == recording["recording_id"]]
            assert len(rows) == 2  # of the two seeds
            assert recording["probs"]["murmur"]["Absent"] == pytest.approx(
                rows["p.murmur.Absent"].mean()
            )
    cohort = read_cohort(compose([*TINY, f"data.path={made / 'data/table.csv'}"]).data)
    folds = np.zeros(16, dtype=int)
    folds[0] = 1
    with pytest.raises(TrainingError, match="does not hold out the patients p0"):
        check_held_out(cohort, FoldData.of(cohort, folds, 0), 0, ["p0", "p3"])


def test_a_model_that_says_something_else_is_refused(made: Path) -> None:
    kept = Predictions.read(made / "reports/one/predictions.parquet").where(
        level="recording", seed=0
    )
    task = read_cohort(compose([*TINY, f"data.path={made / 'data/table.csv'}"]).data).tasks[0]
    who, p = kept.table["recording_id"].tolist()[:2], kept.table["p.murmur.Absent"].to_numpy()[:2]
    check_same(p + np.array([0.0, 0.04]), who, [(task, 2)] * 2, kept, "recording")
    with pytest.raises(TrainingError, match="not those of the run"):
        check_same(p + np.array([0.0, 0.06]), who, [(task, 2)] * 2, kept, "recording")


def test_pictures_and_sound_can_be_read(made: Path) -> None:
    content = content_of(made)
    for patient in content["patients"]:
        assert [r["site"] for r in patient["recordings"]] == ["AV", "MV"]
        for recording in patient["recordings"]:
            for file in ("spectrogram", "look"):
                image = Image.open(io.BytesIO(base64.b64decode(recording[file])))
                assert image.width <= 300
            heard = soundfile.info(io.BytesIO(base64.b64decode(recording["audio"])))
            assert heard.channels == 1
            assert heard.duration == pytest.approx(
                recording["end_s"] - recording["start_s"], abs=0.05
            )
            assert recording["end_s"] - recording["start_s"] <= 1.5
    page = page_of(made)
    assert page.count("<audio controls") == page.count('class="look"') == 10
    assert "media-src data:" in page
    assert 'alt="Spectrogram of AV of patient' in page


def test_the_same_gallery_is_not_made_twice(made: Path) -> None:
    before = (made / "reports/one/gallery.json").stat().st_mtime_ns
    gallery(made / "reports/one", Silent(), device="cpu")
    assert (made / "reports/one/gallery.json").stat().st_mtime_ns == before


def test_the_command_leaves_sound_out_and_takes_the_gallery_away(made: Path) -> None:
    folder = made / "quiet"
    shutil.copytree(made / "reports/one", folder / "reports/one")
    shutil.copytree(made / "checkpoints/one", folder / "checkpoints/one")
    shutil.move(made / "data", folder / "data")  # where the run does not look for it
    try:
        words = ["gallery", str(folder / "reports/one"), "-q", "--device", "cpu"]
        where = ["--data", str(folder / "data/table.csv")]
        done = CliRunner().invoke(cli, [*words, *where, "--no-audio", "--patients", "2"])
        assert done.exit_code == 0, done.output
        assert content_of(folder)["audio"] is None
        assert len(content_of(folder)["patients"]) == 2
        page = page_of(folder)
        assert "switched off (judge.gallery.audio=false)" in page
        assert "<audio" not in page
        with pytest.raises(CohortError, match=r"missing|No such file"):
            gallery(folder / "reports/one", Silent(), device="cpu")
        assert content_of(folder)["audio"] is None  # what was there stays
        config = compose([*TINY, "data.path=nowhere.csv"])
        with pytest.raises(ConfigError, match="--patients 21"):
            gallery(folder / "reports/one", Silent(), GalleryOptions(patients=21))
        assert config.digest == compose([*TINY, "data.path=x", "judge.gallery.patients=0"]).digest
        assert CliRunner().invoke(cli, [*words, "--patients", "0"]).exit_code == 0
        assert not (folder / "reports/one/gallery.json").exists()
        assert "Not made yet" in page_of(folder)
    finally:
        shutil.move(folder / "data", made / "data")


def test_what_goes_wrong_is_told_and_loses_nothing(made: Path, tmp_path: Path) -> None:
    for part in ("reports", "checkpoints"):
        shutil.copytree(made / part / "one", tmp_path / part / "one")
    (tmp_path / "reports/one/gallery.json").unlink()
    # The model of the other seed, as if it were this one's.
    for fold in (0, 1):
        last = tmp_path / f"checkpoints/one/r0-s0-f{fold}/last.pt"
        other = tmp_path / f"checkpoints/one/r0-s1-f{fold}/last.pt"
        write_bytes(last, other.read_bytes(), checksum=True)
    words = [*TINY, f"data.path={made / 'data/table.csv'}", "train.epochs=2", "n_seeds=2"]
    words += ["judge.gallery.patients=5"]
    listener = Silent()
    result = cross_validation.run(
        compose(words), listener, RunOptions(root=tmp_path, name="one", device="cpu"), gallery=True
    )
    assert result.summary.headline.value is not None
    assert "files of two runs were mixed" in listener.notes[-1]
    assert "files of two runs were mixed" in content_of(tmp_path)["problem"]
    page = page_of(tmp_path)
    assert "They could not be shown:" in page
    assert "kfold-hs gallery reports/one" in page


def test_a_model_of_patients_is_asked_about_patients(made: Path, tmp_path: Path) -> None:
    words = [*TINY, f"data.path={made / 'data/table.csv'}", "train.epochs=1"]
    words += ["train.level=patient", "judge.gallery.patients=3", "judge.gallery.audio=false"]
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=tmp_path, name="one", device="cpu"), gallery=True
    )
    found = content_of(tmp_path)
    assert found["problem"] is None
    assert all(r["look"] for p in found["patients"] for r in p["recordings"])


# --- parts --------------------------------------------------------------------------------------


def test_the_part_shown_is_the_one_that_was_looked_at_most() -> None:
    looked = np.zeros((2, 10))
    looked[:, 6:8] = 1
    assert window(looked, 10, 4) == (4, 8)
    assert window(None, 10, 4) == (0, 4)
    assert window(looked, 10, 10) == (0, 10)
    assert window(np.zeros((2, 10)), 10, 4) == (0, 4)


def test_pictures_are_dark_where_it_is_loud_and_low_bands_are_at_the_bottom() -> None:
    features = np.zeros((8, 40), dtype=np.float32)
    features[0, 10:20] = 5
    image = np.asarray(Image.open(io.BytesIO(spectrogram(features))).convert("L"))
    assert image.shape == (8, 40)
    assert (image[7, 10:20] == 0).all()
    assert (image[:7] == 255).all()
    over = np.asarray(Image.open(io.BytesIO(overlay(features, 5.0))).convert("RGBA"))
    assert over[7, 15, 3] == 191
    assert over[0, 0, 3] == 0
    silent = np.asarray(Image.open(io.BytesIO(overlay(0 * features, 0.0))).convert("RGBA"))
    assert (silent[..., 3] == 0).all()
    assert Image.open(io.BytesIO(spectrogram(np.arange(64 * 900.0).reshape(64, 900)))).size == (
        300,
        64,
    )


def test_ticks_lie_where_the_bands_are() -> None:
    for tick in hz_ticks(64, 20, 1000):
        band = tick["at"] * 64 - 0.5
        below, above = hz_of(int(band), 64, 20, 1000), hz_of(int(band) + 1, 64, 20, 1000)
        assert below <= tick["hz"] <= above


@pytest.mark.parametrize(("kind", "rate"), [("wav", 4000), ("ogg", 8000)])
def test_sound_of_an_excerpt(kind: Any, rate: int) -> None:
    time_s = np.arange(3 * 8000) / 8000
    tone = (0.01 * np.sin(2 * np.pi * 100 * time_s)).astype(np.float32)
    samples, found = soundfile.read(io.BytesIO(excerpt(tone, 8000, 1, 2.5, kind)))
    assert found == rate
    assert len(samples) == pytest.approx(1.5 * rate, abs=0.05 * rate)
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.1)
    peak = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
    assert peak == pytest.approx(100, abs=2)
    assert len(excerpt(0 * tone, 8000, 0, 1, kind)) > 0


def test_hostile_names_stay_text_and_are_cut(made: Path) -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    evil = '"><script>alert(1)</script>\u202e' + "x" * 10_000
    content = content_of(made)
    for patient in content["patients"]:
        patient["patient_id"] = evil
        patient["covariates"] = {evil: evil}
        for recording in patient["recordings"]:
            recording |= {"recording_id": evil, "site": evil, "label": {"murmur": evil}}
    page = render(summary, history, predictions, gallery=content)
    assert "<script>alert(1)" not in page
    assert "\u202e" not in page
    assert "x" * 100 not in re.sub(r"<script>.*?</script>|base64,[^\"]*", "", page, flags=re.S)
    assert "(10,028 characters)" in page
    assert name("a\nb\u202ec") == "a\\u000ab\\u202ec"
    told = render(summary, history, predictions, gallery=trouble(evil, {}))
    assert "<script>alert(1)" not in told


def damaged_copies(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key lost, and each value of another type or out of all bounds."""
    places: list[tuple[Any, ...]] = []

    def walk(value: Any, place: tuple[Any, ...]) -> None:
        if place:
            places.append(place)
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value[:1])
            for key, each in list(pairs):
                walk(each, (*place, key))

    walk(content, ())
    for place in places:
        for other in ("lost", [], "x", 1e300, None):
            copied = json.loads(json.dumps(content))
            parent = functools.reduce(lambda found, key: found[key], place[:-1], copied)
            if other == "lost":
                del parent[place[-1]]
            else:
                parent[place[-1]] = other
            yield f"{place}: {other}", copied


def test_a_damaged_gallery_without_a_checksum_is_shown_or_named(made: Path, tmp_path: Path) -> None:
    predictions, history = fake_run()
    summary, content = summary_of(predictions, history), content_of(made)
    # Two patients with one recording: as many kinds of keys, fewer of each.
    content["patients"] = content["patients"][:2]
    for patient in content["patients"]:
        patient["recordings"] = patient["recordings"][:1]
        for key in ("spectrogram", "look", "audio"):
            patient["recordings"][0][key] = "QUJD"
    assert is_whole(content)
    path, refused, shown = tmp_path / "gallery.json", 0, 0
    for what, each in damaged_copies(content):
        path.write_text(json.dumps(each))
        found = read_gallery(path, content["digests"])
        assert found is not None, what
        if found["problem"] is None and what.endswith(("lost", "None")):
            shown += 1
            render(summary, history, predictions, gallery=found)
        refused += found["problem"] is not None
    assert refused > 280
    assert shown > 5


def test_the_page_says_why_there_is_none() -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    off = {"judge": {"gallery": {"patients": 0}}}
    assert "Switched off (judge.gallery.patients=0)" in render(summary, history, predictions, off)
    assert "Not made yet" in render(summary, history, predictions)
