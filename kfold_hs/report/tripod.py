"""TRIPOD+AI: what a paper on a prediction model is to report, filled in where the run knows it.

The 27 items of Collins et al., "TRIPOD+AI statement", BMJ 385, 2024, e078378, in our own short
words: they remind, and do not stand in for the statement, which has the wording that counts. What
a run cannot know is left for the authors, and marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.errors import enumerated
from kfold_hs.judge.results.sentences import counted
from kfold_hs.judge.results.summary import Summary

# number, section, what is asked, what is left to the authors (None: the run says it all)
_ITEMS: tuple[tuple[int, str, str, str | None], ...] = (
    (1, "Title", "that it is about a prediction model, for whom, and of what",
     "the title, with the target population"),
    (2, "Abstract", "a structured abstract", "the abstract (TRIPOD+AI for Abstracts)"),
    (3, "Background", "the clinical context, the intended use and users, known inequalities",
     "all of it"),
    (4, "Objectives", "the aims, and whether a model is developed, evaluated or both",
     "the aims of the study"),
    (5, "Data", "sources and dates of the data, and whom they represent",
     "the source, its dates, and how representative it is"),
    (6, "Participants", "setting and centres, who was eligible, treatments received",
     "setting, centres, eligibility and treatments"),
    (7, "Data preparation", "cleaning and quality checks, and whether alike for all groups",
     "what was done before the data came here"),
    (8, "Outcome", "its definition, who assessed it, when, and blinded to what",
     "definition, assessors and blinding"),
    (9, "Predictors", "what was used, how and when it was measured, why",
     "how recordings and covariates were taken"),
    (10, "Sample size", "how it was arrived at, and whether it suffices",
     "why this many people"),
    (11, "Missing data", "how they were handled", "what was missing before the data came here"),
    (12, "Analytical methods",
     "how data were divided, predictors handled, models built and tuned, performance measured",
     None),
    (13, "Class imbalance", "what was done about it, and to the calibration afterwards", None),
    (14, "Fairness", "approaches to it, and why", "the rationale, and further groups"),
    (15, "Model output", "what the model gives, and how thresholds were set", None),
    (16, "Training and evaluation", "how the data of the two differ", None),
    (17, "Ethics", "approval and consent", "approval, and consent or its waiver"),
    (18, "Open science",
     "funding, conflicts of interest, protocol, registration, sharing of data and code",
     "funding, conflicts, protocol, registration, where data and models can be had"),
    (19, "Patients and public", "their involvement",
     "how they were involved, or that they were not"),
    (20, "Participants found", "the flow of people, their characteristics and their outcomes",
     "the flow up to these data, and a table of characteristics"),
    (21, "Model development", "people and outcomes in each analysis", None),
    (22, "Model specification", "all it takes to make predictions for new people",
     "where the bundle can be had (kfold-hs export)"),
    (23, "Performance", "estimates with intervals, also in groups, and their heterogeneity", None),
    (24, "Updating", "results of updating a model", None),
    (25, "Interpretation", "what the results mean, also for fairness and beside earlier studies",
     "the discussion"),
    (26, "Limitations", "of sample, data and method", "the discussion"),
    (27, "Use in care", "poor or missing input, expertise needed, next steps",
     "the discussion of use in care"),
)  # fmt: skip
SOURCE = "Collins et al., TRIPOD+AI statement, BMJ 385, 2024, e078378"


def tripod(summary: Summary, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The 27 items of a run.

    Parameters
    ----------
    summary : Summary
    config : mapping
        The run's configuration; what it lacks is left to the authors.

    Returns
    -------
    list of dict
        number, section, asks, known (what the run says, or None), left (what the authors are to
        add, or None where nothing is).
    """
    known = _known(summary.to_json(), config)
    return [
        {
            "number": number, "section": section, "asks": asks, "known": known.get(number),
            "left": left if number in known else left or "all of it",
        }
        for number, section, asks, left in _ITEMS
    ]  # fmt: skip


def _known(s: Mapping[str, Any], config: Mapping[str, Any]) -> dict[int, str]:
    cohort, split, tasks = s["cohort"], s["split"], s["tasks"]
    names = enumerated(tasks)
    # Hold-out test persons are trained on and scored by nobody: they are no part of this study yet.
    who, held_out = split.get("development", cohort), ""
    if n_test := split.get("n_test_persons", 0):
        held_out = f"; {counted(n_test, 'more person', 'more people')} held out, not used"
        if who is cohort:  # of an earlier version, which counts them in
            held_out = f"; of these {counted(n_test, 'person', 'people')} held out, not used"
    counts = "; ".join(
        f"{task['name']}: " + ", ".join(f"{count} {name}" for name, count in task["counts"].items())
        for task in who["tasks"]
    )
    people = (
        f"{counted(who['n_persons'], 'person', 'people')}, "
        f"{counted(who['n_patients'], 'patient')}, {counted(who['n_recordings'], 'recording')}"
    )
    by = split["settings"]["by"]
    folds = (
        f"{split['n_folds']}-fold cross-validation by {by}, {counted(split['n_repeats'], 'repeat')}"
    )
    column, evaluated = split["settings"].get("hold_out"), "people"
    if split["n_folds"] == 1:
        folds = f"one part held out for validation, by {by}"
    if column is not None:
        names = ", ".join(split["settings"]["values"])
        folds = f"internal-external cross-validation: each {column} held out once ({names})"
        evaluated = f"one {column}"
        if several := len(split["settings"]["in_several"]):
            more = counted(several, "more person", "more people")
            held_out += f"; {more} of several values of {column}, not used"
    scored = "; ".join(
        f"{name}: {counted(each['n_patients'], 'patient')}" for name, each in tasks.items()
    )
    found = {
        1: f"a classifier of heart sounds; predicted: {names}",
        4: f"development, with internal validation by {folds}",
        5: f"cohort {cohort['name']}, fingerprint {cohort['fingerprint'][:16]}",
        6: people + held_out,
        8: f"labels as they came, one a patient: {counts}{held_out}",
        10: f"{people}{held_out}; what more people or repeats would bring stands under the metrics",
        16: f"evaluated on {evaluated} held out of each fold's training, from the same cohort; no "
        "external data",
        18: f"code: kfold-hs {s['provenance']['versions'].get('kfold-hs', 'of no known version')}; "
        "command and digests: above",
        20: f"{people}; {counts}{held_out}",
        21: f"{counted(len(s['folds']), 'model')}, each trained on "
        f"{100 * split['train_share']:.0f} % of all {cohort['n_persons']} people; trained on or "
        f"scored: {counts}{held_out}; scored, {scored}",
        23: f"{s['headline']['sentence']} Metrics, groups and every fold: above",
        24: "no model was updated",
        26: _limits(s),
    }
    if notes := [f"{note['name']} ({note['count']})" for note in cohort["notes"]]:
        found[7] = f"noticed in the recordings: {', '.join(notes)}; the audit of the split is above"
    if s.get("subgroups"):
        found[14] = f"performance by {', '.join(s['subgroups']['covariates'])}: above"
    found[15] = "probabilities of every class; called is the most probable one" + (
        ", and thresholds or weights were chosen on the other folds"
        if any(result.get("decided") for result in tasks.values())
        else ""
    )
    return found | _of_config(config, folds, s)


def _of_config(config: Mapping[str, Any], folds: str, s: Mapping[str, Any]) -> dict[int, str]:
    """What only the configuration says; nothing where it is not at hand."""
    if not {"features", "model", "loss", "train", "optim", "sched", "predict"} <= set(config):
        return {}
    features, model, loss, train = (config[k] for k in ("features", "model", "loss", "train"))
    covariates = list(model.get("covariates", ()))
    network, weights = str(model.get("backbone", model.get("kind"))), model.get("weights")
    features = _of_features(features)
    stacked = [name for names in s["stacking"]["sources"].values() for name in names]
    covariates += [name for name in stacked if name not in {*covariates, *s["tasks"]}]
    beside = f", and {', '.join(covariates)}" if covariates else ""
    tried = s.get("tried", {}).get("n_variants", 1)
    return {
        9: f"{features}{beside}",
        11: "missing covariates are encoded as missing; patients are scored on the recordings "
        "that they have" if covariates else "patients are scored on the recordings that they have",
        12: f"{folds}; {network}{f', weights: {weights}' if weights else ''}; "
        f"{counted(train['epochs'], 'epoch')}, "
        f"{config['sched']['kind']} to {config['optim']['lr']:g}; scored at {s['select']['text']}; "
        f"{counted(tried, 'variant')} tried on these folds; intervals: "
        f"{s['target']['mean']['method']}",
        13: f"class weights of the loss: {loss['class_weights']}; sampling: {train['sampling']}; "
        "calibration before and after scaling: above",
        22: f"{network}; configuration: above; weights in the run's checkpoints",
    }  # fmt: skip


def _of_features(features: Mapping[str, Any]) -> str:
    if features.get("kind", "mel") != "mel":
        return f"{features['kind']} of the recordings, at {features['sample_rate_hz']} Hz"
    return (
        f"log-mel spectrograms of the recordings ({features['n_mels']} bands, "
        f"{features['f_min_hz']:g} to {features['f_max_hz']:g} Hz)"
    )


def _limits(s: Mapping[str, Any]) -> str:
    found = ["internal validation only"]
    if s["split"]["n_folds"] == 1:
        found.append("one fold, so that how models of the recipe differ is not known")
    elif s["split"]["n_repeats"] == 1:
        found.append("one repeat")
    if not s["headline"]["honest"]:
        found.append("the epoch was chosen on the people who are scored")
    if s.get("incomplete"):
        found.append(counted(len(s["incomplete"]), "fold is missing", "folds are missing"))
    if s.get("tried", {}).get("n_variants", 1) > 1:
        found.append("several variants were tried on these people")
    return "; ".join(found)
