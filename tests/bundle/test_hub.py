"""A bundle for everybody: it names nobody, predicts as the other does, and a hub can read it."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from support.project import TINY, Silent, write_table

from kfold_hs.bundle import hub
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.hub import HubOptions
from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.judge.selection.conformal import Conformal
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.validation import validate

PREFIX = "quincy-street-"
WORDS = [
    *TINY, "train.epochs=1", "model.covariates=[age]",
    "+data.tasks.outcome.stack=[murmur,outcome,age]",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of people with telling names, its bundle `own`, and `hub` and `forgets` for a hub."""
    root = tmp_path_factory.mktemp("hub")
    (root / "sound").mkdir()
    table = write_table(root / "sound")
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    for column in ("patient_id", "person", "recording"):
        rows[column] = PREFIX + rows[column]
    for path in (root / "sound").glob("*.wav"):
        path.rename(path.with_name(PREFIX + path.name))
    rows.to_csv(table, index=False)
    config = compose([*WORDS, f"data.path={table}"])
    cross_validation.run(config, Silent(), RunOptions(root=root, name="one", device="cpu"))
    run = root / "reports" / "one"
    bundles.export(run, root / "own", Silent())
    words = ["export", str(run), "-o", str(root / "hub"), "--hub-ready", "--license", "odc-by"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    bundles.export(run, root / "forgets", Silent(), hub=HubOptions(forgets=True))
    return root


def texts(folder: Path) -> str:
    """All bytes of a folder, weights too."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def rows_of(made: Path, name: str, *inputs: Path) -> pd.DataFrame:
    output = made / f"{name}.json"
    options = bundles.PredictOptions(output, device="cpu")
    found = bundles.predict(made / name, inputs or [made / "sound/table.csv"], Silent(), options)
    frame = pd.DataFrame(json.loads(output.read_text())).set_index("patient_id")
    frame.attrs["sentences"] = found.sentences
    output.unlink()
    return frame


@pytest.mark.parametrize("name", ["hub", "forgets"])
def test_nothing_names_anybody(made: Path, name: str) -> None:
    """No id, no name of a recording, no digest of one, no path of this machine."""
    own, found = texts(made / "own"), texts(made / name)
    digests = set(re.findall(r"[0-9a-f]{64}", (made / "own/certificate.json").read_text()))
    certificate = json.loads((made / "own/certificate.json").read_text())
    recordings = digests - {certificate["split"], certificate["fingerprint"]}
    assert len(recordings) == 32
    assert PREFIX in own  # what is looked for here would be found
    assert all(digest in own for digest in recordings)
    for word in (PREFIX, "quincy", str(made), *recordings):
        assert word not in found
    known = json.loads((made / name / "certificate.json").read_text())["people"]
    assert len(known) == (15 if name == "hub" else 0)
    assert all(set(person) == {"person_id", "patients"} for person in known)
    content = json.loads((made / name / "bundle.json").read_text())
    for scores in content["conformal"].values():
        for each in scores:
            assert all(person.isdigit() for person in each["person_id"])
            thousands = 1000 * np.array(each["score"])
            np.testing.assert_allclose(thousands, thousands.round(), atol=1e-9)
    for table in content["development"]["characteristics"]["patients"].values():
        assert table.get("low") is None
        assert all(level["n"] >= 5 for key, level in table.items() if isinstance(level, dict)
                   and key != "all others")  # fmt: skip


def test_the_order_of_people_tells_nothing(made: Path) -> None:
    certificate = json.loads((made / "hub/certificate.json").read_text())
    names = [person["person_id"] for person in certificate["people"]]
    assert names == sorted(names)
    content = json.loads((made / "hub/bundle.json").read_text())
    for scores in content["conformal"].values():
        for each in scores:
            pairs = list(zip(each["label"], each["score"], strict=True))
            assert pairs == sorted(pairs)


def test_predictions_are_those_of_the_other_bundle(made: Path) -> None:
    """Known people by the held-out model and its fits to the bit; sets can only be larger."""
    own, found = rows_of(made, "own"), rows_of(made, "hub")
    sets = [name for name in own if name.startswith("set.")]
    pd.testing.assert_frame_equal(found.drop(columns=sets), own.drop(columns=sets))
    assert (found["known"] == "yes").all()
    for name in sets:
        for large, small in zip(found[name], own[name], strict=True):
            assert set(large.split("+")) >= set(small.split("+"))
    new = np.random.default_rng(5).standard_normal(8000) * 0.1
    soundfile.write(made / "new.wav", new, 4000, subtype="PCM_16")
    own, found, forgot = (rows_of(made, n, made / "new.wav") for n in ("own", "hub", "forgets"))
    pd.testing.assert_frame_equal(found.drop(columns=sets), own.drop(columns=sets))
    pd.testing.assert_frame_equal(forgot.drop(columns=sets), own.drop(columns=sets))


def test_a_bundle_that_forgets_says_so(made: Path) -> None:
    found = rows_of(made, "forgets")
    assert (found["known"] == "no").all()
    assert (found["scored_by"] == "all").all()
    assert any("knows nobody" in sentence for sentence in found.attrs["sentences"])
    with pytest.raises(BundleError, match="exported without --forget-people"):
        validate(made / "forgets", compose([*WORDS, f"data.path={made}/sound/table.csv"]).data)


def test_the_card_is_one_of_the_hub(made: Path) -> None:
    card = ModelCard.load(made / "hub" / "README.md")
    assert (card.data.license, card.data.library_name) == ("odc-by", "kfold-hs")
    assert card.data.pipeline_tag == "audio-classification"
    assert {"heart-sounds", "phonocardiogram"} <= set(card.data.tags)
    summary = json.loads((made / "reports/one/summary.json").read_text())
    wanted = {
        (task, metric["label"]): metric
        for task, each in summary["tasks"].items()
        for metric in each["metrics"].values()
        if metric["value"] is not None
    }
    results = card.data.eval_results
    assert {(each.task_name, each.metric_name) for each in results} == set(wanted)
    for each in results:
        metric = wanted[each.task_name, each.metric_name]
        assert each.metric_value == metric["value"]
        if metric["low"] is not None:
            assert each.metric_args == {"interval_95_percent": [metric["low"], metric["high"]]}
        assert (each.dataset_type, each.dataset_split) == ("table", "out of fold")
    index = card.data.to_dict()["model-index"]
    assert model_index_to_eval_results(index)[0] == "one"
    assert set(card.data.metrics) >= {"accuracy", "roc_auc"}
    plain = ModelCard.load(made / "own" / "README.md").data
    assert plain.license is None
    assert plain.eval_results == results
    assert card.text.lstrip().startswith("# Heart-sound classifier `one`")


def test_the_example_runs_in_a_downloaded_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As snapshot_download leaves it: links into a folder of blobs."""
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted((made / "hub").rglob("*"))):
        if path.is_file():
            link = snapshot / path.relative_to(made / "hub")
            link.parent.mkdir(parents=True, exist_ok=True)
            (blobs / str(number)).write_bytes(path.read_bytes())
            link.symlink_to(blobs / str(number))
    sound = made / "sound" / f"{PREFIX}p3_0.wav"
    monkeypatch.setattr(sys, "argv", ["example.py", str(sound)])
    runpy.run_path(str(snapshot / "example.py"), run_name="__main__")
    header, row = capsys.readouterr().out.splitlines()
    assert "p.murmur.Present" in header
    assert ",yes," in row
    files = {path.relative_to(made / "hub").as_posix() for path in (made / "hub").rglob("*")}
    assert files == {
        ".gitattributes", "NOTICE.md", "README.md", "bundle.json", "certificate.json",
        "config.json", "example.py", "models", "models/r0-s0-f0.safetensors",
        "models/r0-s0-f1.safetensors",
    }  # fmt: skip
    assert "*.safetensors filter=lfs" in (made / "hub" / ".gitattributes").read_text()
    config = json.loads((made / "hub" / "config.json").read_text())
    assert config["tasks"]["murmur"]["classes"] == ["Present", "Unknown", "Absent"]
    assert config["architecture"] == "test_efficientnet"
    assert "`odc-by`" in (made / "hub" / "NOTICE.md").read_text()
    assert "named no licence" in (made / "forgets" / "NOTICE.md").read_text()


def test_rounded_scores_of_numbers_promise_what_the_others_do() -> None:
    known = [
        {"repeat": 0, "fold": 0, "person_id": ["a", "b", "b"], "label": [1, 0, 0],
         "score": [0.1234, 0.9, 0.25]},
        {"repeat": 0, "fold": 1, "person_id": ["c", "d"], "label": [0, 1],
         "score": [0.0001, 0.5]},
    ]  # fmt: skip
    made = hub._scores(known)
    assert made[0] == {
        "repeat": 0, "fold": 0, "person_id": ["0", "0", "1"], "label": [0, 0, 1],
        "score": [0.25, 0.9, 0.124],
    }  # fmt: skip
    assert made[1] == {
        "repeat": 0, "fold": 1, "person_id": ["2", "3"], "label": [0, 1], "score": [0.001, 0.5],
    }  # fmt: skip
    assert Conformal(made).n_persons(2) == Conformal(known).n_persons(2) == [2, 2]
    probs = np.array([[[0.8, 0.2], [0.3, 0.7]]])
    assert (Conformal(made).p_values(probs) >= Conformal(known).p_values(probs)).all()


def test_small_counts_are_put_together() -> None:
    found = hub._coarse({
        "girl": {"n": 9, "share": 0.45}, "boy": {"n": 8, "share": 0.4},
        "x": {"n": 2, "share": 0.1}, "y": {"n": 1, "share": 0.05},
    })  # fmt: skip
    assert list(found) == ["girl", "boy", "all others"]
    assert found["all others"] == {"n": 3, "share": pytest.approx(0.15)}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-o", "x", "--license", "mit"], "add it"),
        (["-o", "x", "--forget-people"], "add it"),
        (["--challenge", "x", "--hub-ready"], "--hub-ready needs a bundle"),
        (["-o", "x", "--hub-ready", "--compare-refit"], "export twice"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], text: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(tmp_path), *words])
    assert done.exit_code == 2
    assert text in done.output
    with pytest.raises(ConfigError, match="no name that the hub takes"):
        HubOptions(license="do what\nyou like")


def test_an_anonymous_bundle_is_read_back(made: Path) -> None:
    bundle = Bundle.read(made / "hub")
    assert bundle.is_anonymous
    assert not bundle.forgets
    assert not bundle.certificate.known([PREFIX + "p3", "p3"], [])
