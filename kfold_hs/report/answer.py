"""Four short answers on the first screen of a run's page, from summary.json: nothing is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.errors import counted, enumerated
from kfold_hs.judge.results.sentences import called_alike, says_alike
from kfold_hs.report.formats import has_ends, interval, number, whole
from kfold_hs.report.scale import Summary
from kfold_hs.report.tables import Content

UNKNOWN_PERSONS = "unknown persons"
"""The name of the note of a cohort whose persons nobody knows."""
_OF_RANKS = ("auroc", "macro_auroc", "auprc", "macro_auprc")
"""Metrics that models can do well in that call everybody the same."""
_TABLE = "table"
"""What a cohort is called that was read from a table."""
_OF_TARGET = {
    "reached": "is reached by the whole interval",
    "not reached": "is not reached: the whole interval falls short of it",
    "cannot tell": "cannot be judged: it lies within the interval",
}
_NO_INTERVAL = "cannot be judged: there is no interval"
BUILT_IN_TARGET = 0.7
"""Of configs/data/synthetic.yaml: nobody has asked for it."""


def short_answers(summary: Summary, head: Mapping[str, Any]) -> list[tuple[str, Content]]:
    """A question and its answer: how good, how sure, for whom, what next.

    Parameters
    ----------
    summary : mapping
        Content of summary.json, `traced`.
    head : mapping
        `completed`.
    """
    return [
        ("How good?", _how_good(summary, head)),
        ("How sure?", _how_sure(summary, head)),
        ("For whom?", _for_whom(summary)),
        ("What next?", _what_next(summary, head)),
    ]


def _how_good(summary: Summary, head: Mapping[str, Any]) -> Content:
    if head["value"] is None:
        return "That is unknown: the headline has no value."
    said: list[Content] = []
    if head["chance"] is not None:
        said += [
            "A guess that knows only how frequent the classes are gets ",
            number(head["chance"]),
        ]
        said += [_against(head, head["chance"]), ". "]
    else:
        said += [head["label"], ": ", number(head["value"]), ". "]
    if alike := _alike(summary, head):
        said.append(f"{alike} ")
    if head["target"] is not None and head["verdict"] in _OF_TARGET:
        comes = " is the built-in cohort's example (target= sets another) and"
        whose = comes if summary.get("simulated") and head["target"] == BUILT_IN_TARGET else ""
        found = _OF_TARGET[head["verdict"]] if has_ends(head) else _NO_INTERVAL
        said.append(f"The target of {head['target']:,g}{whose} {found}.")
    return said


def _alike(summary: Summary, head: Mapping[str, Any]) -> str:
    """Says so where the models call everybody the same, and the headline is of these calls."""
    if head["metric"].endswith("_decided"):
        return ""
    return says_alike({task: summary["tasks"][task] for task in head["tasks"]})


def _against(head: Mapping[str, Any], value: float) -> str:
    """Where the interval lies, seen from a value; the whole of it decides, not the estimate."""
    if not has_ends(head):
        return ""
    low, high, sign = head["low"], head["high"], 1 if head["higher_is_better"] else -1
    if low <= value <= high:
        return ", which lies within the interval"
    return f", and the whole interval is {'better' if (low - value) * sign > 0 else 'worse'}"


def _beats_chance(head: Mapping[str, Any]) -> bool:
    """Whether the whole interval is better than a guess."""
    return head["chance"] is not None and _against(head, head["chance"]).endswith("better")


def _how_sure(summary: Summary, head: Mapping[str, Any]) -> Content:
    if head["value"] is None:
        return "There is nothing to be sure of."
    if not has_ends(head):
        why = summary["target"].get("mean", {}).get("method") or "too little is known"
        return ["There is no interval: ", str(why).removeprefix("no interval: "), "."]
    said: list[Content] = ["95 % interval ", interval(head), ". "]
    parts = summary.get("budget")
    if parts and parts.get("text"):
        said += ["What would narrow it: ", parts["text"], ". "]
    if head["honest"] is False:
        said.append("It is too optimistic: epochs were chosen on the people who are scored.")
    elif head["honest"] is None:
        said.append("How the models were chosen, and on whom, is not known.")
    elif summary.get("tried", {}).get("n_variants", 1) > 1:
        n = summary["tried"]["n_variants"]
        said.append(
            [whole(n), " variants were tried on these people: a picked one looks too good."]
        )
    return said


def _for_whom(summary: Summary) -> Content:
    cohort, split = summary["cohort"], summary["split"]
    if summary.get("simulated"):
        return "Nobody: these people are simulated, and no number here is about hearts."
    said: list[Content] = [
        "People like these ",
        whole(cohort["n_persons"]),
        " of the table. " if cohort["name"] == _TABLE else f" of {cohort['name']}. ",
    ]
    if summary.get("imported"):
        said.append("What the models were trained on is not proved. ")
    elif split.get("settings", {}).get("by") == "patient":
        said.append("Some people were trained on and scored, so that it holds for no new people. ")
    if hold_out := split.get("settings", {}).get("hold_out"):
        said.append(f"Each model is scored on a {hold_out} that it has never met. ")
    else:
        said.append("Other hospitals, devices and ages are not tested. ")
    if any(each["name"] == UNKNOWN_PERSONS for each in cohort.get("notes", ())):
        said.append("Which recordings are of one person is not known. ")
    if apart := differing_groups(summary):
        n = counted(len(apart), "group is", "groups are")
        names = [*apart[:3], "others"] if len(apart) > 3 else apart
        said.append(f"{n} served better or worse than the rest: {enumerated(names)}.")
    return said


def differing_groups(summary: Summary) -> list[str]:
    """Groups of people that differ from all others for sure, in any task and metric."""
    covariates = (summary.get("subgroups") or {}).get("covariates", {})
    alike = {task for task, result in summary["tasks"].items() if called_alike(result)}
    found = []
    for name, covariate in covariates.items():
        for group in covariate["groups"]:
            tested = [
                metric["above_rest"]["p_holm"]
                for task, metrics in group["tasks"].items()
                for name, metric in metrics.items()
                if task not in alike or name in _OF_RANKS  # else it is how many are of a class
            ]
            if any(p is not None and p <= 0.05 for p in tested):
                found.append(f"{name} {group['name']}")
    return found


def _what_next(summary: Summary, head: Mapping[str, Any]) -> Content:
    if obstacle := _obstacle(summary, head):
        return obstacle
    if summary.get("simulated"):
        return (
            "Take recordings of your own: kfold-hs init TABLE.csv, then kfold-hs run -c study.yaml."
        )
    if _alike(summary, head) and not _beats_chance(head):
        return "First make models that tell people apart: " + (
            "other models, or another threshold."
            if summary.get("imported")
            else "more epochs (train.epochs), another learning rate (kfold-hs lr-find); the losses "
            "below say whether they learn at all."
        )
    reached = None if head["target"] is None or not has_ends(head) else head["verdict"]
    if reached == "reached":
        return (
            "Check it on people of another place: kfold-hs export makes a bundle, kfold-hs "
            "validate scores it."
        )
    if reached == "cannot tell":
        buy = (summary.get("budget") or {}).get("buy")
        return f"Get more {buy or 'people'}: the target lies within the interval."
    other = "of another program" if summary.get("imported") else "of another recipe"
    more = " More repeats will not reach the target." if reached == "not reached" else ""
    return (
        "Look at the labels and at the patients with the highest loss; kfold-hs compare says "
        f"whether predictions {other} are better.{more}"
    )


def _obstacle(summary: Summary, head: Mapping[str, Any]) -> Content:
    """What comes before anything else; empty where nothing does."""
    split = summary["split"]
    if summary.get("incomplete"):
        n = counted(len(summary["incomplete"]), "fold model is", "fold models are")
        return f"Repeat the command: {n} missing, and it trains no other."
    if any(each["is_leak"] for each in split["findings"]):
        return "Remove the leak first: nothing here can be trusted before."
    if split.get("settings", {}).get("by") == "patient":
        return "Split by person: split.by=person."
    if head["honest"] is False:
        return "Quote the value of the last epoch, which nothing chose: How sure? has it."
    imported = summary.get("imported")
    if imported and split["n_folds"] is None:
        return "Name the columns of folds and persons, if there are any: --fold, --person."
    return ""
