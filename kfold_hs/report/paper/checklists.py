"""What TRIPOD+AI, STARD and PROBAST ask, in our own short words; the statements' wording counts.

An item is answered by what a run knows (`answers`), or left to the authors, or both. Of TRIPOD+AI
all 52 sub-items have their numbers. Of STARD-AI and PROBAST+AI no numbers are given that are not
certain: the lists have the numbers of STARD 2015 and PROBAST 2019, which both build on, and name
the topics that came new without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfold_hs.errors import enumerated
from kfold_hs.report.formats import FORMATS
from kfold_hs.report.paper.content import (
    Section,
    Sources,
    Text,
    code,
    enumerated_contents,
    some,
    to_fill_in,
)
from kfold_hs.report.tables import BREAK, Content, Table

Item = tuple[str, str, str, str]
"""Number, what is asked, names of answers (see `answers`), what is left to the authors."""


@dataclass(frozen=True)
class Checklist:
    """A guideline: its items, and the paper that has their wording."""

    name: str
    title: str
    source: str
    note: str
    items: tuple[Item, ...]


TRIPOD = Checklist(
    "tripod", "Checklist: TRIPOD+AI",
    "Collins et al., BMJ 385, 2024, e078378", "",
    (
        ("1", "title: a prediction model, whom for, what it predicts", "model", "the title"),
        ("2", "structured abstract", "headline", "the abstract, by TRIPOD+AI for Abstracts"),
        ("3a", "health context, reason for the model, existing models", "", "all of it"),
        ("3b", "target population, purpose in the care pathway, users", "", "all of it"),
        ("3c", "known inequalities between groups", "", "all of it"),
        ("4", "aims; development, evaluation or both", "design", "the aims of the study"),
        ("5a", "data sources for development and evaluation, why these, whom they represent",
         "cohort external", "why these data, and whom they represent"),
        ("5b", "dates of the data", "", "first and last date of the recordings"),
        ("6a", "setting, number and place of centres", "sources", "setting and centres"),
        ("6b", "who was eligible", "flow", "criteria of eligibility"),
        ("6c", "treatments, and how they were handled", "", "treatments, or that there were none"),
        ("7", "preparation and quality checks of the data, alike for all groups", "notes",
         "what was done before the data came here"),
        ("8a", "outcome, its time, how it was assessed, why, alike for all groups", "outcome",
         "definition and assessment"),
        ("8b", "who assessed a subjective outcome", "labels", "who, with what training"),
        ("8c", "blinding of the assessment", "", "blinded to what"),
        ("9a", "how the first predictors were chosen", "predictors", "why these"),
        ("9b", "definition and measurement of all predictors, blinding", "predictors",
         "how recordings and covariates were taken"),
        ("9c", "who assessed subjective predictors", "", "who, or that there are none"),
        ("10", "how the sample size was arrived at, and whether it suffices", "size",
         "why so many people"),
        ("11", "handling of missing data, reasons for leaving out", "missing flow",
         "what was missing before the data came here"),
        ("12a", "how the data were used and divided", "split", ""),
        ("12b", "handling of predictors: form, scaling, transformation", "predictors missing", ""),
        ("12c", "kind of model, why, all steps of building, tuning, internal validation",
         "network split tried", "why this kind of model"),
        ("12d", "heterogeneity between clusters such as hospitals", "heterogeneity", ""),
        ("12e", "measures and plots of performance, why, how models are compared", "measures", ""),
        ("12f", "updating after evaluation", "updating", ""),
        ("12g", "how predictions are calculated when evaluated", "calls external_models", ""),
        ("13", "class imbalance: what was done, why, and recalibration after", "imbalance",
         "why"),
        ("14", "approaches to fairness, and why", "groups", "the reason, and further groups"),
        ("15", "what the model gives, how thresholds and classes were chosen", "calls", ""),
        ("16", "differences between development and evaluation data", "differences", ""),
        ("17", "ethics approval, consent or its waiver", "", "all of it"),
        ("18a", "funding and the funders' part", "", "all of it"),
        ("18b", "conflicts of interest", "", "all of it"),
        ("18c", "where the protocol is", "", "where, or that there was none"),
        ("18d", "registration", "", "where and which number, or that there was none"),
        ("18e", "availability of the data", "cohort", "where the data can be had"),
        ("18f", "availability of the code", "program", "where the study's own code can be had"),
        ("19", "involvement of patients and the public", "", "how, or that there was none"),
        ("20a", "flow of people, with and without the outcome", "flow",
         "the flow up to these data"),
        ("20b", "characteristics, by source, with outcomes and what is missing", "table1", ""),
        ("20c", "evaluation: distribution of predictors beside development", "differences", ""),
        ("21", "people and events in every analysis", "analysed", ""),
        ("22", "the full model, so that new people can be predicted", "network program",
         "where the exported bundle can be had (kfold-hs export)"),
        ("23a", "performance with intervals, in groups, with plots", "headline measures groups", ""),
        ("23b", "heterogeneity of performance between clusters", "heterogeneity", ""),
        ("24", "results of updating", "updating", ""),
        ("25", "interpretation, also of fairness, beside earlier studies", "", "the discussion"),
        ("26", "limitations, and what they do to bias and uncertainty", "limits", "the discussion"),
        ("27a", "use with poor or missing input", "silent", "what is done with such input"),
        ("27b", "whether users must act, with what expertise", "", "all of it"),
        ("27c", "next steps, generalisability", "", "all of it"),
    ),
)  # fmt: skip

STARD = Checklist(
    "stard", "Checklist: STARD-AI",
    "Sounderajah et al., Nature Medicine 31, 2025, which extends Bossuyt et al., BMJ 351, 2015, "
    "h5527",
    "Numbers are those of STARD 2015. STARD-AI has 40 items with numbers of its own, which are not "
    "given here; its new topics stand at the end without one. Fill in its own form beside this.",
    (
        ("1", "title or abstract: a study of diagnostic accuracy, with a measure", "headline",
         "the title"),
        ("2", "structured abstract", "", "the abstract"),
        ("3", "background, intended use and role of the test", "", "all of it"),
        ("4", "objectives and hypotheses", "design", "the hypotheses"),
        ("5", "data collected before or after the tests were done", "", "prospective or not"),
        ("6", "criteria of eligibility", "", "all of it"),
        ("7", "how eligible people were found", "", "all of it"),
        ("8", "where and when", "", "setting, places and dates"),
        ("9", "consecutive, random or convenience series", "", "which of these"),
        ("10a", "index test, so that it can be repeated", "network predictors program", ""),
        ("10b", "reference standard, so that it can be repeated", "outcome", "how labels were made"),
        ("11", "why this reference standard", "", "all of it"),
        ("12a", "cut-offs of the index test, set before or explored", "calls", ""),
        ("12b", "cut-offs of the reference standard", "", "all of it"),
        ("13a", "whether readers of the index test knew the reference", "blind", ""),
        ("13b", "whether assessors of the reference knew the index test", "", "all of it"),
        ("14", "methods for estimating and comparing accuracy", "intervals", ""),
        ("15", "handling of indeterminate results", "silent", ""),
        ("16", "handling of missing data", "missing", "what was missing before"),
        ("17", "analyses of variability, set before or explored", "groups heterogeneity",
         "which were set before"),
        ("18", "intended sample size, and how it was determined", "size", "why so many people"),
        ("19", "flow of participants, as a diagram", "flow", ""),
        ("20", "baseline characteristics", "table1", ""),
        ("21a", "severity in those with the condition", "grades", "severity"),
        ("21b", "other diagnoses in those without", "", "all of it"),
        ("22", "time and treatments between the two tests", "", "all of it"),
        ("23", "cross tabulation of both tests", "confusion", ""),
        ("24", "accuracy with its precision", "headline measures", ""),
        ("25", "adverse events", "", "any, or that there were none"),
        ("26", "limitations", "limits", "the discussion"),
        ("27", "implications for practice", "", "the discussion"),
        ("28", "registration", "", "number and registry"),
        ("29", "where the protocol is", "", "where"),
        ("30", "funding and its part", "", "all of it"),
        ("–", "AI: data sets, their annotation and how they were divided", "cohort split outcome",
         "who annotated"),
        ("–", "AI: version of the index test, training and tuning", "program network tried", ""),
        ("–", "AI: evaluation on other data", "external", ""),
        ("–", "AI: fairness and bias of the algorithm", "groups", "the reason for these groups"),
        ("–", "AI: input of poor quality, failures", "silent notes", ""),
        ("–", "AI: availability of code, models and data", "program", "where they can be had"),
    ),
)  # fmt: skip

PROBAST = Checklist(
    "probast", "Risk of bias: PROBAST+AI",
    "Moons et al., BMJ 388, 2025, e082505, after Wolff et al., Annals of Internal Medicine 170, "
    "2019",
    "Numbers are those of PROBAST 2019. PROBAST+AI asks 16 questions of development and 18 of "
    "evaluation in the same four domains, whose numbers are not given here. Assessors judge; this "
    "run gives evidence.",
    (
        ("1.1", "appropriate sources of data", "cohort external", "the design of the study"),
        ("1.2", "appropriate inclusions and exclusions", "flow", "criteria of eligibility"),
        ("2.1", "predictors defined and measured alike for all", "predictors",
         "devices and sites of recording"),
        ("2.2", "predictors measured without knowing the outcome", "", "blinding"),
        ("2.3", "predictors at hand when the model is used", "predictors", ""),
        ("3.1", "outcome determined appropriately", "outcome", "how labels were made"),
        ("3.2", "prespecified or standard definition", "", "the definition"),
        ("3.3", "predictors not part of the outcome", "", "all of it"),
        ("3.4", "outcome determined alike for all", "labels", "for all groups and sources"),
        ("3.5", "outcome determined without knowing predictors", "", "blinding"),
        ("3.6", "appropriate time between predictors and outcome", "", "the time between"),
        ("4.1", "enough people with the outcome", "size analysed", ""),
        ("4.2", "predictors handled appropriately", "predictors missing", ""),
        ("4.3", "all enrolled people analysed", "flow", ""),
        ("4.4", "missing data handled appropriately", "missing", ""),
        ("4.5", "no selection of predictors one by one", "predictors", ""),
        ("4.6", "complexities of the data accounted for", "split intervals", ""),
        ("4.7", "relevant measures, appropriately evaluated", "measures intervals", ""),
        ("4.8", "over-fitting and optimism accounted for", "split tried limits", ""),
        ("4.9", "the model is the one whose results are reported", "program network", ""),
        ("–", "AI: leaks between training and evaluation", "audit", ""),
        ("–", "AI: class imbalance, and calibration after it", "imbalance", ""),
        ("–", "AI: fairness, of data and of performance", "groups table1", ""),
    ),
)  # fmt: skip
CHECKLISTS = (TRIPOD, STARD, PROBAST)


def checklist(of: Checklist, known: Mapping[str, Content]) -> Section:
    """A section with a row an item: what is asked, what the run says, what is left."""
    table = Table(of.name, f"Items in our own words; the source has those that count: {of.source}",
                  ["item", "what is asked", "this study"], {0: "name", 1: "text", 2: "text"},
                  label="items")  # fmt: skip
    for name, asks, answered, left in of.items:
        said = [known[each] for each in answered.split() if each in known]
        # An item that nothing answers is the authors', whatever could have answered it.
        left = left or ("" if said else "all of it")
        cell = enumerated_contents([*said, *([to_fill_in(left)] if left else [])], BREAK)
        table.row(name, asks, cell)
    counts = (
        f"{sum(not is_left(row[2]) for row in table.rows)} of {len(table.rows)} items need nothing "
        "more from the authors; the others are marked."
    )
    return Section(of.name, of.title, [Text(" ".join(filter(None, (counts, of.note)))), table])


def is_left(content: Content) -> bool:
    """Whether a cell leaves something to the authors."""
    return "TO FILL IN" in str(content)


def answers(s: Sources) -> dict[str, Content]:
    """What a run knows, by name; a pointer to the JSON ends each. What it lacks is absent."""
    found = _of_people(s) | _of_results(s) | _of_training(s) | _of_validation(s)
    return {name: [*content, " ", code(f"[{where}]")] for name, (content, where) in found.items()}


Known = dict[str, tuple[list[Content], str]]


def _of_people(s: Sources) -> Known:
    summary = s.summary
    cohort, split = summary["cohort"], summary["split"]
    who = split.get("development", cohort)
    classes = enumerated_contents(
        [
            [each["name"], ": ", enumerated_contents(
                [[n, " ", label] for label, n in each["counts"].items()])]
            for each in who.get("tasks", ())
        ],
        "; ",
    )  # fmt: skip
    people = [some(who["n_persons"], "person", "people"), ", ",
              some(who["n_patients"], "patient")]  # fmt: skip
    found: Known = {
        "cohort": ([f"cohort {cohort['name']}, ", people], "summary.json#/cohort"),
        "outcome": (["labels as they came, one a patient: ", classes], "summary.json#/split/development"),
        "size": (["section Sample size; ", people], "paper.json#/cross-validation"),
        "analysed": ([people, "; ", classes, "; ", some(len(summary["folds"]), "model")],
                     "summary.json#/folds"),
    }  # fmt: skip
    if summary.get("flow"):
        found["flow"] = (["section Flow of people"], "summary.json#/flow")
        found["table1"] = (["section Table 1"], "summary.json#/characteristics")
    if cohort.get("notes") is not None:
        notes = enumerated_contents([[n["name"], " (", n["count"], ")"] for n in cohort["notes"]])
        said = ["noticed in the recordings: ", notes] if cohort["notes"] else ["nothing odd noticed"]
        found["notes"] = (said, "summary.json#/cohort/notes")
    if (findings := split.get("findings")) is not None:
        leaks = [each["text"] for each in findings if each["is_leak"]]
        said = [f"leaks: {'; '.join(leaks)}"] if leaks else ["the audit of the split found no leak"]
        found["audit"] = (said, "summary.json#/split/findings")
    if any(t.get("label_noise") for t in summary.get("target", {}).get("tasks", {}).values()):
        found["labels"] = (["persons with two visits and different labels are counted"],
                           "summary.json#/target/tasks")  # fmt: skip
    return found


def _of_results(s: Sources) -> Known:
    summary = s.summary
    split, tasks = summary["split"], summary["tasks"]
    found: Known = {
        "model": (["a classifier of heart sounds; predicted: ", enumerated(tasks)], "summary.json#/tasks"),
        "headline": ([_headline(summary["headline"])], "summary.json#/headline"),
        "measures": (["section Performance; curves of calibration and decision; primary: ",
                      summary["headline"].get("label", "accuracy")], "summary.json#/tasks"),
        "confusion": (["section Indeterminate results"], "summary.json#/tasks"),
        "calls": (["probabilities of every class; called is the most probable one"
                   + ("; decision thresholds and weights were chosen on the other folds"
                      if any(t.get("decided") for t in tasks.values()) else "")],
                  "summary.json#/tasks"),
        "program": ([f"kfold-hs {summary['provenance']['versions'].get('kfold-hs', '')}; command and "
                     "digests in section Reproducibility"], "summary.json#/provenance"),
        "blind": (["models do not see the labels of the people whom they score"], "summary.json#/split"),
        "intervals": (["people are the units; methods in section Performance"], "summary.json#/tasks"),
        "limits": ([_limits(s)], "summary.json#/split"),
        "updating": (["no model was updated"], "summary.json#/folds"),
    }  # fmt: skip
    folds = _folds(split)
    if folds:
        found["split"] = (folds, "summary.json#/split")
        evaluated = [] if s.validation is None else ["; evaluation on other people"]
        found["design"] = (["development with internal validation: ", *folds, *evaluated],
                           "summary.json#/split")  # fmt: skip
    found["heterogeneity"] = (["every fold and repeat"], "summary.json#/tasks")
    if summary.get("sources"):
        text = ["every source held out once: ", summary["sources"]["sentence"]]
        found["heterogeneity"] = found["sources"] = (text, "summary.json#/sources")
    if groups := summary.get("subgroups"):
        found["groups"] = (["performance by ", enumerated(groups["covariates"]), ": section Fairness"],
                           "summary.json#/subgroups")  # fmt: skip
        if any("grading" in name for name in groups["covariates"]):
            found["grades"] = (["grades of the murmur: section Fairness"], "summary.json#/subgroups")
    if summary.get("abstention"):
        found["silent"] = (["silent and saturated recordings are kept and counted; what leaving out "
                            "the least sure brings: section Indeterminate results"],
                           "summary.json#/abstention")  # fmt: skip
    return found


def _headline(head: Mapping[str, Any]) -> Content:
    number = FORMATS["number"]
    if head["value"] is None:
        return "the headline has no value"
    ends = [] if head["low"] is None else [" (", number(head["low"]), " to ", number(head["high"]), ")"]
    return [head.get("label", "accuracy"), " ", number(head["value"]), *ends]


def _folds(split: Mapping[str, Any]) -> list[Content]:
    settings = split.get("settings") or {}
    if split["n_folds"] is None or "by" not in settings:
        return []
    if column := settings.get("hold_out"):
        return [f"each {column} held out once: {', '.join(settings['values'])}"]
    if split["n_folds"] == 1:
        return [f"one part held out for validation, by {settings['by']}"]
    return [split["n_folds"], f"-fold cross-validation by {settings['by']}, ",
            some(split["n_repeats"], "repeat")]  # fmt: skip


def _limits(s: Sources) -> str:
    summary, found = s.summary, list[str]()
    if s.validation is None:
        found.append("internal validation only")
    if summary["split"]["n_folds"] == 1:
        found.append("one fold, so that how models differ is not known")
    elif summary["split"]["n_repeats"] == 1:
        found.append("one repeat")
    if summary["headline"]["honest"] is False:
        found.append("the epoch was chosen on the people who are scored")
    if summary.get("incomplete"):
        found.append("folds are missing")
    if summary.get("tried", {}).get("n_variants", 1) > 1:
        found.append("several variants were tried on these people")
    return "; ".join(found) or "none that the run knows of"


def _of_training(s: Sources) -> Known:
    """What only the configuration says; nothing where it is not at hand."""
    config = s.config
    if not {"features", "model", "loss", "train", "optim", "sched"} <= set(config):
        return {}
    features, model, train = (config[name] for name in ("features", "model", "train"))
    covariates = list(model.get("covariates", ()))
    stacked = [n for names in s.summary.get("stacking", {}).get("sources", {}).values() for n in names]
    covariates += [n for n in dict.fromkeys(stacked) if n not in {*covariates, *s.summary["tasks"]}]
    beside = f", and {', '.join(covariates)}" if covariates else ""
    kind = features.get("kind", "mel")
    sound: list[Content] = [f"{kind} features of the recordings"]
    if kind == "mel":
        sound = ["log-mel spectrograms of the recordings (", features["n_mels"], " bands, ",
                 features["f_min_hz"], " to ", features["f_max_hz"], " Hz)"]  # fmt: skip
    weights = f", weights {model['weights']}" if model.get("weights") else ""
    missing = "missing covariates are encoded as missing; " if covariates else ""
    tried = s.summary.get("tried", {}).get("n_variants", 1)
    select = (s.summary.get("select") or {}).get("text", "")
    return {
        "predictors": ([*sound, beside], "config.yaml#/features"),
        "missing": ([f"{missing}patients are scored on the recordings that they have"],
                    "config.yaml#/model"),
        "network": ([f"{model.get('backbone', model.get('kind'))}{weights}; ",
                     some(train["epochs"], "epoch"), f", {config['sched']['kind']} to ",
                     config["optim"]["lr"], f"; scored at {select}"], "config.yaml#/model"),
        "tried": ([some(tried, "variant"), " tried on these people"], "summary.json#/tried"),
        "imbalance": ([f"class weights of the loss: {config['loss']['class_weights']}; sampling: "
                       f"{train['sampling']}; calibration before and after scaling in section "
                       "Calibration"], "config.yaml#/loss"),
    }  # fmt: skip


def _of_validation(s: Sources) -> Known:
    v = s.validation
    if v is None:
        text = "evaluated on people held out of each fold's training, from the same cohort"
        return {"differences": ([text], "summary.json#/split")}
    who = [some(v["people"]["n_scored_persons"], "person", "people")]
    models = some(v["development"]["n_models"], "model") if "development" in v else "the models"
    return {
        "external": ([f"external: {v['cohort']['name']}, ", *who], "validation.json#/people"),
        "external_models": (["external: the mean of ", models], "validation.json#/development"),
        "differences": (["section Table 1; standardised differences in validation.json"],
                        "validation.json#/side_by_side"),
        "updating": (["no model was updated; what recalibration on the spot would give is in "
                      "validation.json"], "validation.json#/tasks"),
    }  # fmt: skip
