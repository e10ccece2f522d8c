"""Settings as Python has them become the words that mean the same on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs.config.compose import compose
from kfold_hs.config.words import choices_of, words_of
from kfold_hs.errors import ConfigError


@pytest.mark.parametrize(
    ("given_settings", "words"),
    [
        ({"train": {"epochs": 2, "seed": np.int64(8)}}, ["train.epochs=2", "train.seed=8"]),
        ({"sched": "cosine", "seed": 1}, ["sched=cosine", "seed=1"]),
        ({"loss": {"kind": "focal", "gamma": 3.0}}, ["loss=focal", "loss.gamma=3.0"]),
        ({"optim.lr": 1e-4}, ["optim.lr=0.0001"]),
        ({"judge": {"margins": {"auroc": 0.02}}}, ["judge.margins.auroc=0.02"]),
        ({"split.audit": False, "n.patience": None}, ["split.audit=false", "n.patience=null"]),
        ({"split.stratify": []}, ["split.stratify=[]"]),
        ({"predict": {"gains_db": np.array([0.0, -3.5])}}, ["predict.gains_db=[0.0,-3.5]"]),
        ({"loss.task_weights": {"my task": 2}}, [r"loss.task_weights={my\ task:2}"]),
        ({"data": {"path": Path("a b,(c.csv")}}, ["data.path=a b,(c.csv"]),
    ],
)  # fmt: skip
def test_settings_are_words(given_settings: dict[str, Any], words: list[str]) -> None:
    assert words_of(given_settings) == words


def test_the_words_compose_to_the_values() -> None:
    tasks = {"a task": {"classes": ["x,y", "p:q", "{}", "1e-4", "null"], "positive": "p:q"}}
    config = compose(
        words_of(
            {
                "data": {"kind": "table", "path": "it's, a file (1).csv", "tasks": tasks},
                "predict.gains_db": [0, -1.5],
                "features": {"compression": "log", "normalise": "band"},
            }
        )
    )
    assert config.data.tasks["a task"].classes == ("x,y", "p:q", "{}", "1e-4", "null")
    assert config.data.tasks["a task"].positive == "p:q"
    assert getattr(config.data, "path", None) == Path("it's, a file (1).csv")
    assert config.predict.gains_db == (0, -1.5)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=30))
def test_any_text_arrives_as_it_is(text: str) -> None:
    words = words_of({"data": {"kind": "table", "path": "x.csv", "person_column": f"a{text}b"}})
    column = getattr(compose(words).data, "person_column", None)
    assert column == " ".join(f"a{text}b".split())


def test_a_text_is_never_a_sweep_and_a_wrong_type_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown choice for sched= 'cosine,onecycle'"):
        compose(words_of({"sched": "cosine,onecycle"}))
    with pytest.raises(ConfigError, match=r"model=<class 'object'> is of type type\. A setting is"):
        words_of({"model": object})
    with pytest.raises(ConfigError, match=r"Did you mean 'train\.epochs'"):
        compose(words_of({"train": {"epoks": 2}}))


def test_a_space_is_sweeps_and_needs_two_values_a_key() -> None:
    space = {"optim": {"lr": [1e-4, 1e-3]}, "sched": ("cosine", "onecycle"),
             "predict.gains_db": [[0.0], [0.0, 1.0]]}  # fmt: skip
    assert choices_of(space) == [
        "optim.lr=choice(0.0001,0.001)",
        "sched=choice(cosine,onecycle)",
        "predict.gains_db=choice([0.0],[0.0,1.0])",
    ]
    with pytest.raises(ConfigError, match=r"optim\.lr=0\.1 is no list"):
        choices_of({"optim.lr": 0.1})
    with pytest.raises(ConfigError, match=r"has 1 value\(s\) to try, and takes two or more"):
        choices_of({"optim.lr": [0.1]})
