"""Whether people suffice, by the criteria of Riley and others.

To develop a logistic regression of P parameters on n people, of whom a share phi has the outcome
(Riley et al., BMJ 368, 2020, m441), with R2 that of Cox and Snell and R2max the most it can be:

    1  shrinkage of 0.9 or more          n = P / ((S - 1) log(1 - R2 / S)),  S = 0.9
    2  optimism of R2 at most 0.05       the same, S = R2 / (R2 + 0.05 R2max)
    3  the share within 0.05             n = (1.96 / 0.05)^2 phi (1 - phi)

A network has more weights than any of these allows, and is held back otherwise: 1 and 2 are given
as the parameters that so many people allow. Whether people suffice to evaluate is seen from the
intervals that were reached, beside the widths that pmvalsampsize asks for by default (Riley et al.,
Statistics in Medicine 40, 2021). Widths fall with the root of the number of people at best.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, exp, log
from typing import Any

import numpy as np

SHRINKAGE, OPTIMISM, MARGIN, _Z = 0.9, 0.05, 0.05, 1.96
WIDTHS = {"auroc": 0.1, "slope": 0.2, "o_e": 0.2}
"""Of 95 % intervals: AUROC, calibration slope, O:E."""


def fit_of(is_positive: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Share of positives, R2 of Cox and Snell of the probabilities as they are, and its most.

    Parameters
    ----------
    is_positive : ndarray of bool, shape (n,)
    probability : ndarray, shape (n,)
    """
    share = float(is_positive.mean())
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    reached = float(np.log(np.where(is_positive, p, 1 - p)).mean())
    known = sum(part * log(part) for part in (share, 1 - share) if part > 0)
    return {
        "share": share,
        "cox_snell": 1 - exp(2 * (known - reached)),
        "cox_snell_most": 1 - exp(2 * known),
    }


def people_for_parameters(fit: Mapping[str, float], n_parameters: float) -> dict[str, float | None]:
    """People by criterion: "shrinkage", "optimism" (None: no number suffices) and "share"."""
    allowed = _parameters_per_person(fit)
    phi = fit["share"]
    return {
        **{name: n_parameters / each if each > 0 else None for name, each in allowed.items()},
        "share": (_Z / MARGIN) ** 2 * phi * (1 - phi),
    }


def development(fit: Mapping[str, float], n_persons: int) -> dict[str, Any]:
    """What so many people allow: parameters by criteria 1 and 2, and people needed by 3."""
    allowed = _parameters_per_person(fit)
    needed = people_for_parameters(fit, 1)["share"]
    return {
        "n_persons": n_persons,
        **{f"parameters_{name}": int(n_persons * each) for name, each in allowed.items()},
        "people_share": ceil(needed or 0.0),
    }


def _parameters_per_person(fit: Mapping[str, float]) -> dict[str, float]:
    """By criterion; 0 where the probabilities say nothing."""
    r2, most = fit["cox_snell"], fit["cox_snell_most"]
    if not 0 < r2 < SHRINKAGE:
        return {"shrinkage": 0.0, "optimism": 0.0}
    by = {"shrinkage": SHRINKAGE, "optimism": r2 / (r2 + OPTIMISM * most)}
    return {name: (s - 1) * log(1 - r2 / s) if r2 < s else 0.0 for name, s in by.items()}


def reached(name: str, estimate: Mapping[str, Any], n_persons: int) -> dict[str, Any]:
    """Width of an interval beside the one asked for, and the people whom that takes at best.

    Parameters
    ----------
    name : str
        A key of `WIDTHS`.
    """
    low, high, asked = estimate["low"], estimate["high"], WIDTHS[name]
    width = None if low is None or high is None else high - low
    people = None if width is None else ceil(n_persons * (width / asked) ** 2 - 1e-9)
    return {"n_persons": n_persons, "width": width, "asked": asked, "people": people}
