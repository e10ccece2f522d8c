"""What a run knows of the items of the checklists, with a pointer to where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.errors import enumerated
from kfold_hs.judge.results.for_papers import INTERNAL
from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.report.answer import UNKNOWN_PERSONS
from kfold_hs.report.formats import FORMATS
from kfold_hs.report.paper.content import Sources, code, counts_of, enumerated_contents, some
from kfold_hs.report.tables import Content

Known = dict[str, tuple[list[Content], str]]
"""By name: what is said, and the pointer to where it stands."""


def answers(s: Sources) -> dict[str, Content]:
    """What a run knows, by name; a pointer to the JSON ends each. What it lacks is absent."""
    found = _of_people(s) | _of_results(s) | _of_training(s) | _of_validation(s)
    return {name: [*content, " ", code(f"[{where}]")] for name, (content, where) in found.items()}


def _of_people(s: Sources) -> Known:
    summary = s.summary
    cohort, split = summary["cohort"], summary["split"]
    who = split.get("development", cohort)
    classes = counts_of({each["name"]: each["counts"] for each in who.get("tasks", ())})
    people = [some(who["n_persons"], "person", "people"), ", ", some(who["n_patients"], "patient")]
    found: Known = {
        "cohort": ([f"cohort {cohort['name']}, ", people], "summary.json#/cohort"),
        "outcome": (
            ["labels as they came, one a patient: ", classes],
            "summary.json#/split/development",
        ),
    }
    if any(each["development"] or each["reached"] for each in s.derived[INTERNAL].values()):
        found["size"] = (["section Sample size; ", people], f"paper.json#/{INTERNAL}")
    if flow := summary.get("flow"):
        found["flow"] = (["section Flow of people"], "summary.json#/flow")
        found["table1"] = (["section Table 1"], "summary.json#/characteristics")
        scored, models = flow["scored"], some(len(summary["folds"]), "model")
        if "tasks" in scored:
            n = some(scored["n_persons"], "person", "people")
            analysed: list[Content] = [n, "; ", counts_of(scored["tasks"]), "; ", models]
            found["analysed"] = (analysed, "summary.json#/flow/scored")
    if cohort.get("notes") is not None:
        notes = enumerated_contents([[n["name"], " (", n["count"], ")"] for n in cohort["notes"]])
        said = ["noticed in the data: ", notes] if cohort["notes"] else ["nothing odd noticed"]
        found["notes"] = (said, "summary.json#/cohort/notes")
    if split.get("findings") is not None and not _persons_unknown(s):
        said = ["the audit of the split found no leak"]
        if s.leaks:
            said = [f"leaks: {'; '.join(s.leaks)}"]
        found["audit"] = (said, "summary.json#/split/findings")
    if any(t.get("label_noise") for t in summary.get("target", {}).get("tasks", {}).values()):
        found["labels"] = (
            ["labels of one person that differ between visits are counted"],
            "summary.json#/target/tasks",
        )
    return found


def _of_results(s: Sources) -> Known:
    summary = s.summary
    split, tasks = summary["split"], summary["tasks"]
    are_probabilities = all("log_loss" in each["metrics"] for each in tasks.values())
    found: Known = {
        "model": (
            ["a classifier of heart sounds; predicted: ", enumerated(tasks)],
            "summary.json#/tasks",
        ),
        "headline": ([_headline(summary["headline"])], "summary.json#/headline"),
        "measures": (
            [
                "section Performance; ",
                "curves of calibration and decision; " if are_probabilities else "",
                "primary: ",
                summary["headline"].get("label", "accuracy"),
            ],
            "summary.json#/tasks",
        ),
        "intervals": (
            ["people are the units; methods in section Performance"],
            "summary.json#/tasks",
        ),
        "limits": ([_limits(s)], "summary.json#/split"),
    }
    if any(each.get("confusion") for each in tasks.values()):
        found["confusion"] = (["section Indeterminate results"], "summary.json#/tasks")
    if are_probabilities:
        calls = "probabilities of every class; called is the most probable one"
        if any(each.get("decided") for each in tasks.values()):
            calls += "; decision thresholds and weights were chosen on the other folds"
        found["calls"] = ([calls], "summary.json#/tasks")
    if not s.is_imported:
        version = summary["provenance"]["versions"].get("kfold-hs", "")
        said = f"kfold-hs {version}; command and digests in section Reproducibility"
        found["program"] = ([said], "summary.json#/provenance")
        found["updating"] = (["no model was updated"], "summary.json#/folds")
        if not s.leaks and summary["headline"]["honest"]:
            said = "models do not see the labels of the people whom they score"
            found["blind"] = ([said], "summary.json#/split")
    folds = _folds(split)
    if folds:
        found["split"] = (folds, "summary.json#/split")
        evaluated = [] if s.validation is None else ["; evaluation on other people"]
        found["design"] = (
            ["development with internal validation: ", *folds, *evaluated],
            "summary.json#/split",
        )
    if summary.get("sources"):
        text = ["every source held out once: ", summary["sources"]["sentence"]]
        found["heterogeneity"] = found["sources"] = (text, "summary.json#/sources")
    if groups := summary.get("subgroups"):
        found["groups"] = (
            ["performance by ", enumerated(groups["covariates"]), ": section Fairness"],
            "summary.json#/subgroups",
        )
        if any("grading" in name for name in groups["covariates"]):
            found["grades"] = (
                ["grades of the murmur: section Fairness"],
                "summary.json#/subgroups",
            )
    if summary.get("abstention"):
        kept = "" if s.is_imported else "silent and saturated recordings are kept and counted; "
        said = "what leaving out the least sure brings: section Indeterminate results"
        found["silent"] = ([kept + said], "summary.json#/abstention")
    return found


def _headline(head: Mapping[str, Any]) -> Content:
    number = FORMATS["number"]
    if head["value"] is None:
        return "the headline has no value"
    ends = (
        []
        if head["low"] is None
        else [" (", number(head["low"]), " to ", number(head["high"]), ")"]
    )
    return [head.get("label", "accuracy"), " ", number(head["value"]), *ends]


def _folds(split: Mapping[str, Any]) -> list[Content]:
    settings = split.get("settings") or {}
    if split["n_folds"] is None or "by" not in settings:
        return []
    if column := settings.get("hold_out"):
        return [
            f"internal-external cross-validation: each {column} held out once ("
            f"{', '.join(settings['values'])})"
        ]
    if split["n_folds"] == 1:
        return [f"one part held out for validation, by {settings['by']}"]
    return [
        split["n_folds"],
        f"-fold cross-validation by {settings['by']}, ",
        some(split["n_repeats"], "repeat"),
    ]


def _limits(s: Sources) -> str:
    summary, found = s.summary, list[str]()
    if is_simulated(summary):
        found.append("people are simulated")
    if s.leaks:
        found.append("models are scored on people whom they were trained on")
    n_folds = summary["split"]["n_folds"]
    if n_folds is None:
        found.append("folds are not known, nor how models differ that are trained anew")
    elif s.validation is None:
        found.append("internal validation only")
    if n_folds == 1:
        found.append("one fold, so that how models differ is not known")
    elif n_folds is not None and summary["split"]["n_repeats"] == 1:
        found.append("one repeat")
    if summary["headline"]["honest"] is False:
        found.append("the epoch was chosen on the people who are scored")
    if summary.get("incomplete"):
        found.append("folds are missing")
    if summary.get("tried", {}).get("n_variants", 1) > 1:
        found.append("several variants were tried on these people")
    if _persons_unknown(s) or (s.validation and _noted(s.validation)):
        found.append("which recordings are of one person is not known")
    return "; ".join(found) or "none that the run knows of"


def _persons_unknown(s: Sources) -> bool:
    """Whether nobody can say who of the run is in which fold."""
    no_folds = s.summary["split"]["n_folds"] is None
    return no_folds or _noted(s.summary) or "person" in s.summary.get("imported", {}).get(
        "unknown", ())  # fmt: skip


def _noted(content: Mapping[str, Any]) -> bool:
    return any(note["name"] == UNKNOWN_PERSONS for note in content["cohort"].get("notes", ()))


def _of_training(s: Sources) -> Known:
    """What only the configuration says; nothing where it is not at hand."""
    config = s.config
    if not {"features", "model", "loss", "train", "optim", "sched"} <= set(config):
        return {}
    features, model, train = (config[name] for name in ("features", "model", "train"))
    covariates = list(model.get("covariates", ()))
    stacked = [
        n for names in s.summary.get("stacking", {}).get("sources", {}).values() for n in names
    ]
    covariates += [n for n in dict.fromkeys(stacked) if n not in {*covariates, *s.summary["tasks"]}]
    beside = f", and {', '.join(covariates)}" if covariates else ""
    kind = features.get("kind", "mel")
    sound: list[Content] = [f"{kind} features of the recordings"]
    if kind == "mel":
        sound = [
            "log-mel spectrograms of the recordings (",
            features["n_mels"],
            " bands, ",
            features["f_min_hz"],
            " to ",
            features["f_max_hz"],
            " Hz)",
        ]
    weights = f", weights {model['weights']}" if model.get("weights") else ""
    missing = "missing covariates are encoded as missing; " if covariates else ""
    tried = s.summary.get("tried", {}).get("n_variants", 1)
    select = (s.summary.get("select") or {}).get("text", "")
    return {
        "predictors": ([*sound, beside], "config.yaml#/features"),
        "missing": (
            [f"{missing}patients are scored on the recordings that they have"],
            "config.yaml#/model",
        ),
        "network": (
            [
                f"{model.get('backbone', model.get('kind'))}{weights}; ",
                some(train["epochs"], "epoch"),
                f", {config['sched']['kind']} to ",
                config["optim"]["lr"],
                f"; scored at {select}",
            ],
            "config.yaml#/model",
        ),
        "tried": ([some(tried, "variant"), " on this split in reports/"], "summary.json#/tried"),
        "imbalance": (
            [
                f"loss.class_weights={config['loss']['class_weights']}, train.sampling="
                f"{train['sampling']}; calibration before and after scaling in section "
                "Calibration"
            ],
            "config.yaml#/loss",
        ),
    }


def _of_validation(s: Sources) -> Known:
    v = s.validation
    if v is None:
        if s.is_imported or s.leaks:
            return {}
        text = "evaluated on people held out of each fold's training, from the same cohort"
        return {"differences": ([text], "summary.json#/split")}
    who = [some(v["people"]["n_scored_persons"], "person", "people")]
    models = some(v["development"]["n_models"], "model") if "development" in v else "the models"
    return {
        "external": ([f"external: {v['cohort']['name']}, ", *who], "validation.json#/people"),
        "external_models": (["external: the mean of ", models], "validation.json#/development"),
        "differences": (
            ["section Table 1; standardised differences in validation.json"],
            "validation.json#/side_by_side",
        ),
        "updating": (
            [
                "no model was updated; what recalibration on the spot would give is in "
                "validation.json"
            ],
            "validation.json#/tasks",
        ),
    }
