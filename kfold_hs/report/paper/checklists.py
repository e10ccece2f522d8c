"""What TRIPOD+AI, STARD and PROBAST ask, in our own short words; the statements' wording counts.

An item is answered by what a run knows (`answers`), or left to the authors, or both. Of TRIPOD+AI
all 52 sub-items have their numbers. Of STARD-AI and PROBAST+AI no numbers are given that are not
certain: the lists have the numbers of STARD 2015 and PROBAST 2019, which both build on, and name
the topics that came new without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kfold_hs.report.paper.content import (
    Section,
    Text,
    enumerated_contents,
    to_fill_in,
)
from kfold_hs.report.tables import BREAK, Content, Table

Item = tuple[str, str, str, str]
"""Number, what is asked, names of answers (`paper.answers`), what is left to the authors; with ?
only where there is no answer."""


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
        ("8b", "who assessed a subjective outcome", "", "who, with what training"),
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
        ("12d", "heterogeneity between clusters such as hospitals", "heterogeneity",
         "?clusters, or that there were none"),
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
        ("23a", "performance with intervals, in groups, with plots", "headline measures groups",
         ""),
        ("23b", "heterogeneity of performance between clusters", "heterogeneity",
         "?clusters, or that there were none"),
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
    "Numbers are those of STARD 2015. STARD-AI has numbers of its own, which are not given here; "
    "its new topics, as far as they are covered, stand at the end. Fill in its form beside this.",
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
        ("10b", "reference standard, so that it can be repeated", "outcome",
         "how labels were made"),
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
        ("3.1", "outcome determined appropriately", "outcome labels", "how labels were made"),
        ("3.2", "prespecified or standard definition", "", "the definition"),
        ("3.3", "predictors not part of the outcome", "", "all of it"),
        ("3.4", "outcome determined alike for all", "", "for all groups and sources"),
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
        left = "" if said and left.startswith("?") else left.removeprefix("?")
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
