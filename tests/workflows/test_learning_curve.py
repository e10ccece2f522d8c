"""kfold-hs learning-curve: runs of shares, on one split; its page is drawn again from its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.project import TINY, kfold_hs

from kfold_hs.errors import ConfigError
from kfold_hs.workflows.learning_curve import design_of

WORDS = [*TINY, "train.epochs=1", "split.n_folds=2"]


@pytest.fixture(scope="module")
def drawn(shared_table_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("curve")
    words = [*WORDS, f"data.path={shared_table_csv}", "--shares", "0.5,0.75,1", "--name", "more"]
    done = kfold_hs("learning-curve", *words, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "Learning curve: reports/more/learning_curve.html" in done.stdout.replace("\n", "")
    return root


def test_every_share_is_a_run_on_one_split(drawn: Path) -> None:
    content = json.loads((drawn / "reports/more/learning_curve.json").read_text("utf-8"))
    people = [each["n_people"] for each in content["sizes"]]
    assert people == sorted(people)
    assert people[-1] == pytest.approx(7.5)  # 15 persons, two folds
    for each in content["sizes"]:
        summary = json.loads((drawn / "reports" / each["run"] / "summary.json").read_text("utf-8"))
        assert summary["split"]["digest"] == content["split"]["digest"]
        assert summary["split"]["train_share"] == pytest.approx(0.5 * each["share"])
        point = content["tasks"]["murmur"]["auroc"]["points"][content["sizes"].index(each)]
        assert point["value"] == summary["tasks"]["murmur"]["metrics"]["auroc"]["value"]


def test_the_page_is_drawn_again_and_listed(drawn: Path) -> None:
    page = drawn / "reports/more/learning_curve.html"
    before = page.read_text("utf-8")
    page.unlink()
    assert kfold_hs("report", "reports/more", cwd=drawn).returncode == 0
    assert page.read_text("utf-8") == before
    assert "Would more people help?" in before
    assert kfold_hs("report", cwd=drawn).returncode == 0
    assert "more/learning_curve.html" in (drawn / "reports/index.html").read_text("utf-8")


def test_repeated_it_trains_nothing(drawn: Path, shared_table_csv: Path) -> None:
    words = [*WORDS, f"data.path={shared_table_csv}", "--shares", "0.5,0.75,1", "--name", "more"]
    again = kfold_hs("learning-curve", *words, cwd=drawn)
    assert again.returncode == 0
    assert "epoch" not in again.stderr


@pytest.mark.parametrize(
    ("shares", "words", "said"),
    [
        ((1.0,), (), "two different shares"),
        ((0.5, 0.5), (), "two different shares"),
        ((0.0, 1.0), (), "above 0 and at most 1"),
        ((0.5, 1.5), (), "above 0 and at most 1"),
        ((0.5, 1.0), ("train.people_share=0.5",), "give --shares"),
    ],
)
def test_shares_that_make_no_curve(
    shares: tuple[float, ...], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        design_of(words, shares)


def test_too_few_people_are_refused_before_training(shared_table_csv: Path, tmp_path: Path) -> None:
    words = [*WORDS, f"data.path={shared_table_csv}", "--shares", "0.1,1"]
    done = kfold_hs("learning-curve", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert "none of them has" in done.stderr
    assert "fold 0 epoch" not in done.stderr
