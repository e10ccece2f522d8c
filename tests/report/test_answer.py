"""The first screen: what is drawn where, and four answers that are true in every state."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from support.fake_run import fake_run, page_of, summary_of
from support.fake_run_parts import without
from support.pages import unmarked

from kfold_hs.report.answer import BUILT_IN_TARGET, short_answers
from kfold_hs.report.glossary import GLOSSARY
from kfold_hs.report.run_page import metric_label
from kfold_hs.report.scale import completed, scale
from kfold_hs.report.tables import text
from kfold_hs.report.traced import traced

DOCS = Path(__file__).parents[2] / "docs"


_OLD = ("sentence", "value", "low", "high", "verdict", "honest")
"""What a headline of an earlier version says."""


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    predictions, history = fake_run()
    found: dict[str, Any] = json.loads(json.dumps(summary_of(predictions, history)))
    return found


def changed(summary: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """The same with other values in some of its parts."""
    found = copy.deepcopy(summary)
    for name, values in parts.items():
        is_part = isinstance(values, dict)
        found[name] = (found.get(name) or {}) | values if is_part else values
    return found


def answers(summary: dict[str, Any]) -> dict[str, str]:
    content = traced(summary)
    found = short_answers(content, completed(content))
    assert len(found) == 4
    said = {question: str(Markup(text(answer)).striptags()) for question, answer in found}
    assert all(each.endswith(".") for each in said.values())
    return said


def test_what_an_earlier_file_does_not_say_of_its_headline(summary: dict[str, Any]) -> None:
    head = completed(summary)
    rules = [summary["beside"][task]["rules"] for task in ("murmur", "outcome")]
    most = [max(r["values"]["accuracy"] for r in of if r["name"] != "random referral" and
                r["values"]["accuracy"] is not None) for of in rules]  # fmt: skip
    assert head["chance"] == pytest.approx(sum(most) / 2)
    assert (head["key"], head["metric"], head["tasks"]) == (
        "mean.accuracy", "accuracy", ["murmur", "outcome"],
    )  # fmt: skip
    assert (head["lowest"], head["highest"], head["target"]) == (0, 1, 0.95)
    newer = changed(summary, headline={"key": "murmur.auroc", "target": None, "chance": 0.5})
    assert completed(newer)["key"] == "murmur.auroc"
    assert completed(newer)["target"] is None


def test_a_scale_from_0_to_1(summary: dict[str, Any]) -> None:
    drawn = scale(summary, completed(summary))
    assert drawn is not None
    assert [row.name for row in drawn.rows] == [
        "accuracy, mean of murmur and outcome", "murmur", "outcome",
    ]  # fmt: skip
    mean, murmur, outcome = drawn.rows
    assert mean.found["value"] == summary["headline"]["value"]
    folds = [(a + b) / 2 for a, b in zip(murmur.folds, outcome.folds, strict=True)]
    assert mean.folds == pytest.approx(folds)
    metric = summary["tasks"]["murmur"]["metrics"]["accuracy"]
    assert murmur.models == metric["these_models"]
    assert ("always Present", summary["beside"]["murmur"]["rules"][0]["values"]["accuracy"]) in (
        murmur.rules
    )
    assert drawn.at(0.25) == "25.00%"
    assert drawn.width(0.25, 0.75) == "50.00%"
    assert (drawn.at(-1), drawn.at(2)) == ("0.00%", "100.00%")
    assert drawn.ticks == [0, 0.2, 0.4, 0.6, 0.8, 1]


def test_one_task_and_a_metric_without_bound(summary: dict[str, Any]) -> None:
    cost = summary["tasks"]["murmur"]["metrics"]["cost"]
    head = {
        "key": "murmur.cost", "label": "cost of murmur", "metric": "cost", "tasks": ["murmur"],
        "higher_is_better": False, "lowest": 0.0, "highest": None, "chance": 9000.0,
        "target": 20000.0, "verdict": "reached", "value": cost["value"], "low": 10000.0,
        "high": 12000.0,
    }  # fmt: skip
    found = changed(summary, headline=head)
    drawn = scale(found, completed(found))
    assert drawn is not None
    assert [row.name for row in drawn.rows] == ["cost of murmur"]
    assert 0 <= drawn.low < 9000
    assert 20000 < drawn.high < 30000
    assert len(drawn.ticks) <= 7
    assert (drawn.ticks[0], drawn.ticks[-1]) == (drawn.low, drawn.high)
    bounded = changed(found, headline={"highest": 50000.0, "chance": 9900.0, "target": 10800.0})
    close = scale(bounded, completed(bounded))
    assert close is not None
    assert close.high < 25000  # rules and folds lie there
    assert "the whole interval is worse" in answers(found)["How good?"]
    assert "The target of 20,000 is reached" in answers(found)["How good?"]
    better = changed(found, headline={"chance": 15000.0})
    assert "the whole interval is better" in answers(better)["How good?"]
    within = changed(found, headline={"chance": 11000.0})
    assert "which lies within the interval" in answers(within)["How good?"]


def test_a_decided_metric_has_its_row(summary: dict[str, Any]) -> None:
    decided = summary["tasks"]["murmur"]["decided"]["cost"]
    head = {"metric": "cost_decided", "tasks": ["murmur"], "label": "decided cost"}
    head |= {"lowest": 0.0, "highest": None, "value": decided["value"]}
    found = changed(summary, headline=head)
    drawn = scale(found, completed(found))
    assert drawn is not None
    assert drawn.rows[0].found["value"] == decided["value"]


def test_without_a_value_or_an_interval(summary: dict[str, Any]) -> None:
    unknown = changed(summary, headline={"value": None, "low": None, "high": None})
    assert scale(unknown, completed(unknown)) is None
    assert "unknown" in answers(unknown)["How good?"]
    page = page_of(unknown, *fake_run()[::-1])
    assert '<figure class="scale"' not in page
    bare = changed(summary, headline={"low": None, "high": None, "verdict": "cannot tell"})
    bare["target"]["mean"]["method"] = "no interval: one person"
    assert "There is no interval: one person." in answers(bare)["How sure?"]
    assert "whole interval" not in answers(bare)["How good?"]
    assert "cannot be judged: there is no interval." in answers(bare)["How good?"]
    within = changed(summary, headline={"verdict": "cannot tell"})
    assert "cannot be judged: it lies within the interval." in answers(within)["How good?"]


def test_nothing_is_said_of_a_target_that_nobody_set(summary: dict[str, Any]) -> None:
    free = changed(summary, headline={"target": None, "verdict": None})
    assert "target" not in " ".join(answers(free).values())
    drawn = scale(free, completed(free))
    assert drawn is not None
    assert drawn.target is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"incomplete": [{"fold": 1}, {"fold": 2}]}, "2 fold models are missing"),
        ({"headline": {"honest": False}}, "Quote the value of the last epoch"),
        ({"simulated": True}, "kfold-hs init TABLE.csv"),
        ({"headline": {"verdict": "reached"}}, "kfold-hs validate"),
        ({"headline": {"verdict": "not reached"}}, "More repeats will not reach the target"),
        ({"headline": {"verdict": "cannot tell"}}, "the target lies within the interval"),
        (
            {"headline": {"target": None, "verdict": None}},
            "kfold-hs compare says whether predictions of another recipe",
        ),
        ({"split": {"findings": [{"is_leak": True}]}}, "Remove the leak first"),
        ({"split": {"settings": {"by": "patient"}}}, "split.by=person"),
    ],
)
def test_what_next(summary: dict[str, Any], parts: dict[str, Any], words: str) -> None:
    assert words in answers(changed(summary, **parts))["What next?"]


def alike(summary: dict[str, Any], counts: list[list[int]]) -> dict[str, Any]:
    """The same of models that call the murmur so; the headline is no better than a guess."""
    found = changed(
        summary, headline={"chance": summary["headline"]["value"], "verdict": "reached"}
    )
    found["tasks"]["murmur"] |= {"confusion": counts, "classes": ["Present", "Unknown", "Absent"]}
    return found


def test_models_that_call_everybody_the_same(summary: dict[str, Any]) -> None:
    """No groups are served worse by them: who differs holds other shares of the classes."""
    found = alike(summary, [[2, 0, 30], [0, 0, 8], [0, 0, 80]])
    assert "The models call 98 % of patients Absent (murmur)." in answers(found)["How good?"]
    assert answers(found)["What next?"].startswith("First make models that tell people apart")
    every = alike(summary, [[0, 0, 32], [0, 0, 8], [0, 0, 80]])
    assert "call all patients Absent" in answers(every)["How good?"]
    better = changed(every, headline={"chance": 0.0, "low": 0.5})
    assert "export" in answers(better)["What next?"]
    told = [[[5, 0, 0], [0, 0, 0], [0, 0, 115]], [[30, 0, 2], [0, 8, 0], [0, 0, 80]], []]
    for counts in told:
        assert "The models call" not in answers(alike(summary, counts))["How good?"]
    for metric, n in (("accuracy", 0), ("auroc", 1)):
        tested = {"murmur": {metric: {"above_rest": {"p_holm": 0.01}}}}
        covariates = {"age": {"groups": [{"name": "Infant", "tasks": tested}]}}
        apart = changed(every, subgroups={"covariates": covariates})
        assert answers(apart)["For whom?"].count("age Infant") == n
    decided = changed(every, headline={"metric": "cost_decided"})
    assert "The models call" not in answers(decided)["How good?"]


def test_marks_under_the_value_stand_below_the_line(summary: dict[str, Any]) -> None:
    for chance, lowered in ((0.5, False), (0.905, True)):
        head = {"value": 0.9, "chance": chance}
        found = changed(summary, headline=head, beside={})
        drawn = scale(found, completed(found))
        assert drawn is not None
        assert drawn.lowered(drawn.rows[0]) is lowered


def test_a_decision_of_its_own_is_told_from_the_confusion(summary: dict[str, Any]) -> None:
    head = {"metric": "cost_decided", "tasks": ["outcome"], "highest": 50000.0, "target": 9000.0}
    head["label"] = "outcome cost (challenge), referral threshold of the other folds"
    found = changed(summary, headline=head, target={"metric": "cost_decided", "value": 9000.0})
    found["target"]["tasks"] = {"outcome": found["target"]["tasks"]["outcome"]}
    page = unmarked(page_of(found, *fake_run()[::-1]))
    assert "outcome: confusion of the most probable class, not of what the headline" in page
    assert "Cost (challenge), referral threshold of the other folds against the target" in page
    assert "cost decided" not in page.lower()
    assert metric_label(completed(summary)) == "accuracy"


def test_where_a_target_comes_from_that_nobody_set(summary: dict[str, Any]) -> None:
    words = "is the built-in cohort's example"
    settings = (DOCS.parent / "configs" / "data" / "synthetic.yaml").read_text()
    assert f"\ntarget: {BUILT_IN_TARGET}\n" in settings
    built_in = changed(summary, simulated=True, headline={"target": BUILT_IN_TARGET})
    assert words in answers(built_in)["How good?"]
    assert words not in answers(changed(built_in, simulated=False))["How good?"]
    assert words not in answers(changed(built_in, headline={"target": 0.9}))["How good?"]


def test_for_whom(summary: dict[str, Any]) -> None:
    assert "People like these 95 of fake." in answers(summary)["For whom?"]
    table = changed(summary, cohort={"name": "table"})
    assert "People like these 95 of the table." in answers(table)["For whom?"]
    made_up = answers(changed(summary, simulated=True))
    assert made_up["For whom?"].startswith("Nobody")
    held_out = changed(summary, split={"settings": {"by": "person", "hold_out": "hospital"}})
    assert "a hospital that it has never met" in answers(held_out)["For whom?"]
    metric = {"above_rest": {"p_holm": 0.01}}
    groups = [{"name": "Infant", "tasks": {"murmur": {"accuracy": metric}}}]
    apart = changed(summary, subgroups={"covariates": {"age": {"groups": groups}}})
    assert (
        "1 group is served better or worse than the rest: age Infant."
        in (answers(apart)["For whom?"])
    )


def test_scores_have_their_mean_auroc(summary: dict[str, Any]) -> None:
    found = changed(summary, target={"tasks": {}}, imported={"primary": ["murmur"]})
    for result in found["tasks"].values():
        del result["metrics"]["accuracy"]
    found["headline"] = {key: found["headline"][key] for key in _OLD}
    head = completed(found)
    assert (head["metric"], head["tasks"], head["chance"]) == ("auroc", ["murmur"], 0.5)
    assert head["target"] is None
    assert "not proved" in answers(found)["For whom?"]


def test_the_page_shows_it_all_and_lists_its_sections(summary: dict[str, Any]) -> None:
    page = page_of(summary, *fake_run()[::-1])
    first = unmarked(page[page.index('id="answer"') : page.index('id="good"')])
    for question, answer in answers(summary).items():
        assert f"<dt>{question}</dt>" in first
        assert answer.split(" ")[0] in first
    for figure in ("confusion-murmur", "roc-murmur", "confusion-outcome", "roc-outcome"):
        assert f'data-figure="{figure}"' in first
    links = re.findall(r'<li><a href="#([^"]+)">', page)
    headings = re.findall(r'<h[23](?: class="part")? id="([^"]+)">', page)
    assert links == headings
    questions = ["good", "sure", "whom", "wrong", "trained", "repeat"]
    assert [each for each in links if each in questions] == questions
    assert links[-1] == "worst"  # the gallery


def test_an_unfinished_run_has_a_first_screen() -> None:
    predictions, history = without(*fake_run(), fold=4)
    content = summary_of(predictions, history)
    assert "1 fold model is missing" in answers(content)["What next?"]
    assert "<dt>What next?</dt>" in page_of(content, history, predictions)


def test_words_are_those_of_the_documentation() -> None:
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", (DOCS / "glossary.md").read_text(), re.M))
    assert len(GLOSSARY) > 30
    assert {word: rows.get(word) for word in GLOSSARY} == GLOSSARY


def test_what_would_narrow_the_interval_is_said_of_any_headline(summary: dict[str, Any]) -> None:
    """The budget is the headline's, whichever it is."""
    assert "What would narrow it: " in answers(summary)["How sure?"]
    auroc = changed(summary, headline={"key": "murmur.auroc", "metric": "auroc"})
    assert summary["budget"]["text"] in answers(auroc)["How sure?"]
