"""Writes packages.json: numbers of packages that the tests do not depend on.

    pip install baycomp confidenceinterval MLstatkit && python tests/golden/packages.py

baycomp brings matplotlib along, which is why the numbers are kept and not the packages.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import baycomp
import numpy as np
from confidenceinterval.delong import delong_roc_variance
from MLstatkit import Delong_test

FIRST = [0.78, 0.74, 0.75, 0.80, 0.78]
SECOND = [0.80, 0.75, 0.78, 0.82, 0.77]


def main() -> None:
    rng = np.random.default_rng(0)
    y = np.r_[np.ones(12, int), np.zeros(28, int)]
    scores = [np.round(rng.random(40) * 0.6 + 0.3 * y, 2) for _ in range(2)]
    a, b = np.array(FIRST), np.array(SECOND)
    auc, variance = delong_roc_variance(y, scores[0])
    z, p = Delong_test(y, scores[0], scores[1])[:2]
    found = {
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
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
