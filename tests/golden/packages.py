"""Writes packages.json: numbers of packages that the tests do not depend on.

    pip install '.[golden]' && python tests/golden/packages.py

in an environment of its own: they bring matplotlib along and pin an old setuptools, which is why
the numbers are kept. Where they are installed, a slow test asks the packages themselves.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import baycomp
import numpy as np
from confidenceinterval.delong import delong_roc_variance
from MLstatkit import Delong_test

FIRST = [0.78, 0.74, 0.75, 0.80, 0.78]
SECOND = [0.80, 0.75, 0.78, 0.82, 0.77]


def numbers() -> dict[str, Any]:
    """What the packages say of fixed data."""
    rng = np.random.default_rng(0)
    y = np.r_[np.ones(12, int), np.zeros(28, int)]
    scores = [np.round(rng.random(40) * 0.6 + 0.3 * y, 2) for _ in range(2)]
    a, b = np.array(FIRST), np.array(SECOND)
    auc, variance = delong_roc_variance(y, scores[0])
    z, p = Delong_test(y, scores[0], scores[1])[:2]
    return {
        "versions": {n: version(n) for n in ("baycomp", "confidenceinterval", "MLstatkit")},
        "first": FIRST,
        "second": SECOND,
        "two_on_single": [float(v) for v in baycomp.two_on_single(a, b)],
        "two_on_single_rope": [float(v) for v in baycomp.two_on_single(a, b, rope=0.01)],
        "y": y.tolist(),
        "scores": [each.tolist() for each in scores],
        "auc": float(auc),
        "auc_variance": float(np.squeeze(variance)),
        "delong_z": float(z),
        "delong_p": float(p),
    }


def main() -> None:
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(numbers(), indent=1) + "\n")


if __name__ == "__main__":
    main()
