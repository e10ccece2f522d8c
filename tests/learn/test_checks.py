"""What is told before recordings are read, once, and without a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.project import TINY, Silent, kfold_hs

from kfold_hs.config.compose import compose
from kfold_hs.errors import KfoldHsError
from kfold_hs.orchestrator.worker import Outcome, check_outcomes
from kfold_hs.workflows.inputs import read_inputs


class Watching(Silent):
    """Hears when the recordings are read."""

    def stage(self, name: str) -> None:
        self.notes.append(name)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["model.backbone=resnet1"], "Did you mean 'resnet18'"),
        (["model.weights=package"], "has weights for"),
        (
            ["model.weights=package", "model.backbone=efficientnet_lite9"],
            "timm has no model.backbone 'efficientnet_lite9'",
        ),
        (["model.weights=file", "model.weights_file=/no,where"], "/no,where does not exist"),
        (["train.sampling=x"], "unknown train.sampling 'x'"),
        (["split.file=/nowhere"], "split.file=/nowhere does not exist"),
        (["data.aliases=/nowhere"], "data.aliases=/nowhere does not exist"),
        (["augment.noise_share=0.5", "augment.noise_folder=/nowhere"], "/nowhere"),
    ],
)
def test_what_the_configuration_tells_is_told_before_recordings_are_read(
    words: list[str], part: str, shared_table_csv: Path
) -> None:
    listener = Watching()
    config = compose([*TINY, f"data.path={shared_table_csv}", *words])
    with pytest.raises(KfoldHsError) as caught:
        read_inputs(config, listener)
    assert part in str(caught.value)
    assert listener.notes == []


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "model=timm", "model.backbone=resnet18,resnet1"],
        ["tune", "model=timm", "model.backbone=resnet18,resnet1"],
        ["run", "--dry-run", "model=timm", "model.backbone=resnet1"],
        ["export", "--challenge", "entry", "model=timm", "model.backbone=resnet1"],
    ],
)
def test_every_command_tells_it(words: list[str], tmp_path: Path) -> None:
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'resnet18'" in done.stderr
    assert "recordings" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_cause_of_several_folds_is_told_once() -> None:
    texts = [f"fold {n}: the loss is no number." for n in range(6)] + ["fold 6: other."]
    with pytest.raises(KfoldHsError) as caught:
        check_outcomes([Outcome("failed", text) for text in texts], 8)
    text = str(caught.value)
    assert text.count("the loss is no number.") == 1
    assert "The same in 6 folds" in text
    assert "fold 6: other." in text


def test_debug_stands_before_or_after_the_command(tmp_path: Path) -> None:
    for words in (["--debug", "config", "optim.lr=x"], ["config", "optim.lr=x", "--debug"]):
        with pytest.raises(KfoldHsError, match=r"optim\.lr='x'"):
            kfold_hs_raising(words)
    assert kfold_hs("config", "optim.lr=x", cwd=tmp_path).returncode == 2


def kfold_hs_raising(words: list[str]) -> None:
    from kfold_hs.cli.main import main

    main(words)


@pytest.mark.parametrize("words", [["run", "--folds", "\x1b[31m" * 999], ["config", "a\x1b[31m=1"]])
def test_no_message_is_long_or_moves_the_cursor(words: list[str], tmp_path: Path) -> None:
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 1600
