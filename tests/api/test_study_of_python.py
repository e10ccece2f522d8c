"""`study=` of calls from Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.project import TINY

from kfold_hs.api.calls import Call
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError


def test_a_study_gives_settings_and_keywords_win(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("data: {kind: table, path: my.csv}\nrecipe: lite\nseed: 3\n")
    config = compose(Call.of(None, None, {"study": study, "train": {"epochs": 2}}).words)
    assert config == compose(
        ["data=table", f"data.path={tmp_path / 'my.csv'}", "recipe=lite", "seed=3",
         "train.epochs=2"]
    )  # fmt: skip
    more = tmp_path / "more.yaml"
    more.write_text("seed: 4\nrecipe: quick\n")
    several = Call.of(None, None, {"study": [study, str(more)]})
    assert compose(several.words).seed == 4
    assert compose(Call.of(None, "baseline", {"study": study}).words).recipe == "baseline"
    with pytest.raises(ConfigError, match="there is no study file"):
        Call.of(None, None, {"study": "nowhere.yaml"})


def test_the_people_are_those_of_the_cohort(tmp_path: Path, shared_table_csv: Path) -> None:
    from kfold_hs.api.cohorts import read_cohort

    study = tmp_path / "study.yaml"
    study.write_text("data: {kind: table, path: my.csv, channel: 1}\nseed: 3\n")
    data = {w.split("=")[0].removeprefix("data."): w.split("=")[1] for w in TINY if "data." in w}
    cohort = read_cohort("table", path=shared_table_csv, **data)
    config = compose(Call.of(cohort, None, {"study": study}).words)
    assert config.seed == 3
    assert config.data == compose(cohort.settings).data
