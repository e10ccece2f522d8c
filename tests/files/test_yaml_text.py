"""YAML by libyaml: the values that OmegaConf reads, and what neither takes."""

from __future__ import annotations

import io

import pytest
import yaml
from omegaconf import OmegaConf

from kfold_hs.config.compose import compose
from kfold_hs.files.yaml_text import parse_yaml

VALUES = [
    "1e-4", "1E5", "1.e3", "1.0e-05", ".5", ".5e-3", "-1e5", "+1e3", "1_0.5e1", "1e", "e5", "1e5x",
    "12e03", "1_000", "0x1F", "010", "1:30", "1:30.5", ".inf", "-.inf", "2020-01-01", "yes", "~",
    "'1e-4'", "???", "${b}", "[1e3, x]", "{c: 1, d: [~]}", "1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_values_are_those_of_omegaconf(value: str) -> None:
    text = f"a: {value}\nb: 1"
    found = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    assert repr(parse_yaml(text)) == repr(found)


def test_what_a_run_writes_is_read() -> None:
    config = compose(["data=circor", "data.root=/a: b", "recipe=lite", "optim.lr=1e-5"])
    assert parse_yaml(config.to_yaml()) == config.as_dict()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2", "the key a is found twice"),
        ("{b: {1: 2, 1: 3}}", "the key 1 is found twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: " + "[" * 100 + "]" * 100, "nested more than 100 deep"),
        ("- " * 3000 + "a", "nested more than 100 deep"),
    ],
)
def test_what_kfold_hs_does_not_write_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["a: [", "a: !!python/tuple [1]", "\x01", "a: 1\n---\nb: 2"])
def test_what_is_no_yaml_of_ours_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
