"""A bundle for everybody: it names nobody, predicts as the other does, and a hub can read it."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from support.project import TINY, Silent, write_table

from kfold_hs.bundle import hub
from kfold_hs.bundle.certificate import Certificate
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.hub import HubOptions
from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.judge.selection.conformal import Conformal, most_promised, persons_needed
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
    for digest in json.loads((made / "own/bundle.json").read_text())["digests"].values():
        assert digest in own
        assert digest not in found
    known = json.loads((made / name / "certificate.json").read_text())["people"]
    assert len(known) == (32 if name == "hub" else 0)
    for row in known:
        mine = {"patient_id": row["person_id"], "folds": ANY, "sha256": [row["person_id"]]}
        assert row["patients"] == [mine]
    names = [person["person_id"] for person in known]
    assert names == sorted(names)


def test_no_count_is_below_five(made: Path) -> None:
    """Nor is the difference of two: all are multiples of five, in the card as well."""
    development = json.loads((made / "hub/bundle.json").read_text())["development"]
    found = development["characteristics"]
    for each in (found, *development["tasks"].values()):
        for key in ("n_persons", "n_patients", "n_recordings"):
            assert each.get(key, 0) % 5 == 0
    for table in (*found["patients"].values(), *found["recordings"].values()):
        for level in [table, *(each for each in table.values() if isinstance(each, dict))]:
            assert level.get("n", 0) % 5 == level.get("n_missing", 0) % 5 == 0
        assert table.get("low") is table.get("high") is None
    card = (made / "hub/README.md").read_text()
    section = card.split("## What it was trained on")[1].split("## How good")[0]
    counts = re.findall(r"(\d+) (?:person|people|patient|recording)|\| (\d+) \|", section)
    assert len(counts) > 4
    assert all(int(a or b) % 5 == 0 for a, b in counts)


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


def test_steps_of_isotonic_functions_are_no_part_of_it(made: Path) -> None:
    assert '"isotonic"' in (made / "own/bundle.json").read_text()
    assert "isotonic" not in (made / "hub/bundle.json").read_text()
    with pytest.raises(BundleError, match="no isotonic calibration of murmur"):
        Bundle.read(made / "hub").check_calibration("isotonic")


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


def scores_of(n: int, n_repeats: int) -> list[dict[str, Any]]:
    """Made-up scores of two classes; every fourth person has two patients, often of two labels."""
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(n), 1 + (np.arange(n) % 4 == 0))
    label = (rng.random(len(person)) < 0.25).astype(int)
    found = []
    for repeat in range(n_repeats):
        prob = np.clip(0.2 + 0.5 * label + rng.normal(0, 0.2, len(label)), 0.001, 0.999)
        score, fold = np.where(label == 1, 1 - prob, prob), rng.integers(5, size=n)[person]
        for each in range(5):
            rows = fold == each
            found.append({
                "repeat": repeat, "fold": each, "person_id": person[rows].astype(str).tolist(),
                "label": label[rows].tolist(), "score": score[rows].tolist(),
            })  # fmt: skip
    return found


def is_possible(published: list[dict[str, Any]], place: dict[str, Any], c: int, x: float) -> bool:
    """Whether somebody with label c and score x can be among what is published of a fold."""
    for rows in published:
        if rows["repeat"] != place["repeat"]:
            continue
        if "n_each" in rows:  # in a group of five, whose largest score is this or more
            if rows["label"] == c and max(rows["score"]) >= x:
                return True
        elif rows["fold"] == place["fold"]:
            found = zip(rows["label"], rows["score"], strict=True)
            if any(c == a and abs(b - x) < 1e-3 for a, b in found):
                return True
    return False


def readable(published: list[dict[str, Any]], known: list[dict[str, Any]]) -> int:
    """The attack: patients of whom one label is left when all repeats are looked through.

    Whoever has a patient's recordings knows what each model says of them, hence their score under
    either label, and looks for somebody with that score and label.
    """
    patients: dict[tuple[str, int], list[set[int]]] = {}
    for each in known:
        visits: dict[str, int] = {}
        rows = zip(each["person_id"], each["label"], each["score"], strict=True)
        for person, label, score in rows:
            visit = visits[person] = visits.get(person, -1) + 1
            under = {c: score if c == label else 1 - score for c in (0, 1)}
            left = {c for c, x in under.items() if is_possible(published, each, c, x)}
            patients.setdefault((person, visit), []).append(left)
    return sum(len(set.intersection(*each)) < 2 for each in patients.values())


def test_labels_cannot_be_read_back() -> None:
    known = scores_of(150, 3)
    published = hub._scores(known)
    assert readable(known, known) > 100  # the attack works where there is something to find
    assert readable(published, known) == 0
    for rows in published:
        assert set(rows) == {"repeat", "label", "n_each", "score"}
        assert rows["n_each"] == 5
        assert rows["score"][-1] == 1
        hundreds = 100 * np.array(rows["score"])
        np.testing.assert_allclose(hundreds, hundreds.round(), atol=1e-9)


def test_few_of_a_class_leave_no_score() -> None:
    known = [{"repeat": 0, "fold": 0, "person_id": list("abcdefghi"), "label": [0] * 7 + [1] * 2,
              "score": np.linspace(0.1, 0.9, 9).tolist()}]  # fmt: skip
    made = hub._scores(known)
    assert [(rows["label"], rows["score"]) for rows in made] == [(None, [1.0]), (0, [1.0])]
    conformal, probs = Conformal(made), np.array([[[0.5, 0.5]]])
    assert conformal.n_persons(2) == [5, 0]
    assert conformal.p_values(probs).tolist() == Conformal([]).p_values(probs).tolist() == [1, 1]


@pytest.mark.parametrize("promise", ["class", "all"])
def test_sets_of_new_people_can_only_be_larger(promise: str) -> None:
    known = scores_of(150, 3)
    own, made = Conformal(known), Conformal(hub._scores(known))
    rng = np.random.default_rng(4)
    for _ in range(100):
        first = np.clip(rng.random() + rng.normal(0, 0.05, (3, 5)), 0, 1)
        probs = np.stack([first, 1 - first], axis=-1)
        large, small = (each.p_values(probs, promise=promise) for each in (made, own))
        assert (large >= small - 1e-12).all()
    least = made.p_values(np.full((3, 5, 2), [1.0, 0.0]))[1]
    assert least == pytest.approx(6 / (made.n_persons(2)[1] + 1))
    assert persons_needed(0.9, 5) == 59
    assert most_promised(59, 5) == pytest.approx(0.9)


def test_folds_are_opened_by_their_recording_alone() -> None:
    digests = [hashlib.sha256(bytes([k])).hexdigest() for k in range(4)]
    patients = [{"patient_id": f"{k}", "folds": [k, 300], "sha256": digests[2 * k : 2 * k + 2]}
                for k in range(2)]  # fmt: skip
    own = {"people": [{"person_id": "7", "patients": patients}], "n_folds": 301, "n_repeats": 2,
           "split": "split", "fingerprint": "cohort"}  # fmt: skip
    found, other = (hub._certificate(own, False) for _ in range(2))
    words = [set(re.findall(r"[0-9a-f]{8,}", str(each))) for each in (found, other)]
    assert not words[0] & words[1]
    assert len({person["patients"][0]["folds"] for person in found["people"]}) == 4
    certificate = Certificate.from_dict(found)
    assert not certificate.untouched([0]).any()
    rows = certificate.known(["7", "0"], digests[:1], ["7"])
    assert len(rows) == 1
    # Patients of one person in folds 0 and 1: every model trained on the person.
    assert not certificate.untouched(rows)[0].any()
    assert np.flatnonzero(certificate.untouched(rows)[1]).tolist() == [300]


def test_small_counts_are_put_together() -> None:
    found = hub._coarse({
        "girl": {"n": 23, "share": 0.6}, "boy": {"n": 12, "share": 0.3}, "x": {"n": 2, "share": 0.1}
    })  # fmt: skip
    assert {name: each["n"] for name, each in found.items()} == {"girl": 25, "all others": 15}
    assert found["girl"]["share"] == 25 / 40
    assert hub._coarse({"x": {"n": 2, "share": 1.0}}) == {}
    assert hub._flags({"silent": {"n": 0, "share": 0}, "loud": {"n": 3, "share": 0.1}}) == {}


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
