"""A run's `Paper`: all sections, the checklists, and the figures that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.report.charts.base import Figure
from kfold_hs.report.charts.curves import abstention_figures, curve_figures
from kfold_hs.report.paper.answers import answers
from kfold_hs.report.paper.checklists import CHECKLISTS, checklist
from kfold_hs.report.paper.content import Paper, Sources
from kfold_hs.report.paper.people import answer, characteristics, flow, sample_size
from kfold_hs.report.paper.results import calibration, decision, performance, predictive_values
from kfold_hs.report.paper.validity import fairness, indeterminate, reproducibility
from kfold_hs.report.traced import traced
from kfold_hs.report.validation_page import calibration_figures

SECTIONS = (
    answer, flow, characteristics, sample_size, performance, calibration, decision,
    predictive_values, fairness, indeterminate,
)  # fmt: skip
"""In the order of the files; checklists and `reproducibility` follow."""
SUMMARY, CONFIG, DERIVED, VALIDATION = (
    "summary.json",
    "config.yaml",
    "paper.json",
    "validation.json",
)


def paper_of(
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
    derived: Mapping[str, Any],
    validation: Mapping[str, Any] | None = None,
) -> Paper:
    """The material of a paper on a run, and on its validation on other people.

    Parameters
    ----------
    summary, config : mapping
        Contents of summary.json and config.yaml; the latter empty where there is none.
    derived : mapping
        `judge.results.for_papers.derived`.
    validation : mapping, optional
        Content of validation.json.
    """
    sources = Sources(
        traced(summary, f"{SUMMARY}#"),
        traced(config, f"{CONFIG}#"),
        traced(derived, f"{DERIVED}#"),
        None if validation is None else traced(validation, f"{VALIDATION}#"),
    )
    known = answers(sources)
    sections = [make(sources) for make in SECTIONS]
    sections += [checklist(each, known) for each in CHECKLISTS]
    sections.append(reproducibility(sources))
    figures: dict[str, Figure] = {}
    if summary.get("curves"):
        figures |= curve_figures(summary["curves"])
    if summary.get("abstention"):
        figures |= abstention_figures(summary["abstention"])
    for name, figure in calibration_figures(validation or {"tasks": {}}).items():
        figures[f"external-{name}"] = figure
    return Paper(f"Material for a paper: {summary['run']}", sections, figures)
