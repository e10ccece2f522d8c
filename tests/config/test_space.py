"""Spaces to search: the user's table as it was asked for, and every value of it fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm

from kfold_hs.config import space as spaces_module
from kfold_hs.config.compose import compose, groups
from kfold_hs.config.space import Space, read_space, space, spaces
from kfold_hs.errors import ConfigError

TABLE = {
    "optim.lr": (1e-4, 5e-4, 1e-3, 5e-3),
    "train.batch_size": (16, 32, 64),
    "model.dropout": (0.2, 0.3, 0.5),
    "model.hidden": (256, 512, 1024),
    "model.backbone": ("resnet18", "resnet34", "efficientnet_b0", "efficientnet_b2"),
    "loss.gamma": (1, 2, 3),
}


def test_the_table_is_the_one_that_was_asked_for() -> None:
    table = space("table")
    assert dict(table.choices) == TABLE
    assert len(table) == len(list(table.grid())) == 4 * 3 * 3 * 3 * 4 * 3
    assert spaces() == ["table"]
    assert "tune" not in groups()


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in TABLE.items() for v in values])
def test_every_value_of_the_table_composes(key: str, value: object) -> None:
    first = {name: values[0] for name, values in TABLE.items()}
    config = compose(space("table").overrides({**first, key: value}))  # type: ignore[dict-item]
    group, _, name = key.partition(".")
    assert getattr(getattr(config, group), name) == value
    assert config.loss.kind == "focal"


@pytest.mark.parametrize("words", [["recipe=lite"], ["data=circor", "data.root=x"]])
def test_the_table_goes_on_top_of_a_command_line(words: list[str]) -> None:
    ends = [compose([*words, *each]) for each in (list(space("table").grid())[i] for i in (0, -1))]
    assert [end.model.backbone for end in ends] == ["resnet18", "efficientnet_b2"]
    assert [end.optim.lr for end in ends] == [1e-4, 5e-3]


@pytest.mark.parametrize("backbone", TABLE["model.backbone"])
def test_the_backbones_have_pretrained_weights(backbone: str) -> None:
    assert timm.list_models(backbone, pretrained=True)


def test_all_values_that_do_not_fit_are_told_at_once() -> None:
    wrong = Space("mine", (), {"optim.lr": (1e-3, -1.0), "train.epochs": (1, 0), "seed": (1,)})
    with pytest.raises(ConfigError, match=r"mine does not fit.*optim\.lr=-1.*train\.epochs=0"):
        wrong.check()
    with pytest.raises(ConfigError, match=r"unknown space 'tabel'.*Did you mean 'table'"):
        space("tabel")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("space: {seed: [1]}", "must hold `with` and `space`"),
        ("with: []\nspace: []", "map keys to lists"),
        ("with: []\nspace: {seed: 1}", "seed must be a list"),
        ("with: []\nspace: {seed: [[1]]}", "no single value"),
        ("with: []\nspace: {seed: [1, 1]}", "a value twice"),
        ("with: 5\nspace: {seed: [1]}", "with must be a list"),
        ("with: &a [x]\nspace: {seed: *a}", "refers to anchors"),
        ("with: [\nspace: {", "cannot read the space"),
        ("[" * 5000, "cannot read the space"),
        (f"with: []\nspace: {{seed: [{'9' * 5000}]}}", "cannot read the space"),
        ("with: []\nspace: {seed: [\x01]}", "cannot read the space"),
        (f"with: []\nspace: {{seed: {list(range(300))}}}", "300 values"),
    ],
)
def test_a_file_that_is_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, match: str
) -> None:
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "mine.yaml").write_text(text)
    monkeypatch.setattr(spaces_module, "config_folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match=match):
        space("mine")


def test_texts_of_a_file_stay_texts(tmp_path: Path) -> None:
    names = ["Height (cm)", "Größe", "1", "a,b", "x"]
    (tmp_path / "s.yaml").write_text(
        f"with: [data=table, data.path=x]\nspace: {{data.person_column: {names}}}\n", "utf-8"
    )
    found = read_space(tmp_path / "s.yaml")
    assert [compose(each).data.person_column for each in found.grid()] == names  # type: ignore[union-attr]
