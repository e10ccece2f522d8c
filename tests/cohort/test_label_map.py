"""Which label of one cohort is which of another's."""

from __future__ import annotations

import pandas as pd
import pytest

from kfold_hs.cohort import Task
from kfold_hs.cohort.label_map import pair_tasks
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import TaskMap
from kfold_hs.errors import ConfigError


def task(name: str, *classes: str, positive: str = "") -> Task:
    return Task(name, classes, positive or classes[0], (1.0,) * len(classes), "mean")


MURMUR = task("murmur", "Present", "Unknown", "Absent")
OUTCOME = task("outcome", "Abnormal", "Normal")


def mapped(**given: object) -> dict[str, TaskMap]:
    return {name: TaskMap.model_validate(value) for name, value in given.items()}


def test_tasks_and_classes_of_one_name_are_pairs() -> None:
    source = task("outcome", "normal", "ABNORMAL", "noisy", positive="ABNORMAL")
    (pair,), without = pair_tasks([MURMUR, OUTCOME], [source], {})
    assert pair.classes == {"normal": "Normal", "ABNORMAL": "Abnormal"}
    assert (pair.unmapped, pair.absent) == (("noisy",), ())
    assert without == {"murmur": "the data have no labels of it"}
    labels = pair.labels(pd.DataFrame({"outcome": ["noisy", "ABNORMAL", "normal"]}))
    assert labels.tolist() == [None, "Abnormal", "Normal"]


def test_positive_classes_are_pairs_and_the_other_of_two() -> None:
    source = task("diagnosis", "healthy", "vhd", positive="vhd")
    (pair,), _ = pair_tasks([OUTCOME], [source], mapped(outcome="diagnosis"))
    assert pair.classes == {"vhd": "Abnormal", "healthy": "Normal"}


def test_classes_are_paired_as_the_user_says() -> None:
    source = task("lesion", "AS", "MR", "N")
    given = {"task": "lesion", "classes": {"Abnormal": ["AS", "MR"], "Normal": "N"}}
    (pair,), _ = pair_tasks([OUTCOME], [source], mapped(outcome=given))
    assert pair.classes == {"AS": "Abnormal", "MR": "Abnormal", "N": "Normal"}


def of_classes(**classes: object) -> dict[str, object]:
    return {"outcome": {"task": "lesion", "classes": classes}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"nothing can be compared: .* the data lesion\. .*e\.g\. data\.map\.murmur=lesion"),
        ({"heart": "lesion"}, r"unknown task of the bundle in data\.map: 'heart'"),
        ({"outcome": "lesions"}, r"of the data in data\.map\.outcome: 'lesions'.*'lesion'"),
        ({"outcome": "lesion"}, r"paired: AS is Abnormal\. .*data\.map\.outcome=\{task: lesion"),
        (of_classes(Ill="AS"), r"class of the bundle in .* 'Ill'"),
        (of_classes(Normal="X"), r"classes\.Normal: 'X'; there is AS, MR, N"),
        (
            of_classes(Abnormal="N", Normal=["MR", "N"]),
            r"gives the class 'N' of the data to 'Abnormal' and to 'Normal'",
        ),
    ],
)
def test_what_cannot_be_compared_says_so(given: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=message):
        pair_tasks([MURMUR, OUTCOME], [task("lesion", "AS", "MR", "N")], mapped(**given))


def test_a_task_that_cannot_be_compared_leaves_the_others() -> None:
    sources = [task("murmur", "yes", "soft", "no"), OUTCOME]
    pairs, without = pair_tasks([MURMUR, OUTCOME], sources, {})
    assert [pair.task.name for pair in pairs] == ["outcome"]
    assert "these are paired: yes is Present" in without["murmur"]


WORDS = ["data=cinc2016", "data.root=x"]


def test_a_map_on_the_command_line() -> None:
    data = compose([*WORDS, "data.map.outcome=diagnosis"]).data
    assert data.map["outcome"].task == "diagnosis"
    given = "{task: d, classes: {Abnormal: [1, ill], Normal: -1}}"
    for word in (f"data.map.outcome={given}", f"data.map={{outcome: {given}}}"):
        found = compose([*WORDS, word]).data.map["outcome"]
        assert found.classes == {"Abnormal": ("1", "ill"), "Normal": ("-1",)}
    with pytest.raises(ConfigError, match=r"data\.map\.outcome\.clases"):
        compose([*WORDS, "data.map.outcome={task: d, clases: {}}"])


def test_a_map_is_no_part_of_a_runs_digest() -> None:
    plain = compose(WORDS)
    assert compose([*WORDS, "data.map.outcome=diagnosis"]).digest == plain.digest
    assert plain.data.map == {}
