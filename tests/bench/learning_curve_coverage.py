"""How often the band of a learning curve over people holds: values drawn around known laws.

    python tests/bench/learning_curve_coverage.py [--sets N] [--write]

Four sizes; values with the standard deviation and correlation of the row. Printed are the shares
of sets in which the band at twice the people holds the truth, in which the interval of the gain
does, and in which more people are said to help (the gain's lower end is above 0). --write puts the
table into docs/statistics.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kfold_hs.judge.stats.power_law import Measured, fit

SIZES = np.array([94.0, 188.0, 282.0, 377.0])
LAWS = {"0.95 - 2 n^-0.7": (0.95, 2.0, 0.7), "0.9 - n^-0.4": (0.9, 1.0, 0.4), "0.85": (0.85, 0, 1)}
NOISE = ((0.02, 0.7), (0.02, 0.5), (0.01, 0.8))
DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
BEGIN, END = "<!-- learning_curve_coverage.py -->", "<!-- end -->"


def row(law: tuple[float, float, float], sd: float, alike: float, n_sets: int) -> list[float]:
    a, b, c = law
    truth = a - b * np.append(SIZES, 2 * SIZES[-1]) ** -c
    covariance = sd**2 * (alike * np.ones((4, 4)) + (1 - alike) * np.eye(4))
    root, rng = np.linalg.cholesky(covariance), np.random.default_rng(1)
    found = []
    for k in range(n_sets):
        values = np.minimum(truth[:4] + root @ rng.standard_normal(4), 1)
        made = fit(Measured(SIZES, values, covariance, 30), (0.0, 1.0), True, seed=k)
        assert made is not None
        _, low, high = made.band(2 * SIZES[-1])
        _, least, most = made.gain(SIZES[-1], 2 * SIZES[-1])
        gain = truth[4] - truth[3]
        found.append([low <= truth[4] <= high, least - 1e-12 <= gain <= most + 1e-12, least > 0])
    return [float(share) for share in np.mean(found, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = [
        f"Of {given.sets} sets each (`python tests/bench/learning_curve_coverage.py --write`):",
        "",
        "| law | sd of a value | correlation | true gain | band holds | interval of the gain holds "
        "| said to help |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (a, b, c) in LAWS.items():
        gain = b * (SIZES[-1] ** -c - (2 * SIZES[-1]) ** -c)
        for sd, alike in NOISE:
            shares = row((a, b, c), sd, alike, given.sets)
            told = " | ".join(f"{share:.3f}" for share in shares)
            lines.append(f"| {name} | {sd:g} | {alike:g} | {gain:.3f} | {told} |")
            print(lines[-1], flush=True)
    if given.write:
        text = DOCS.read_text("utf-8")
        start, end = text.index(BEGIN) + len(BEGIN), text.index(END, text.index(BEGIN))
        DOCS.write_text(text[:start] + "\n" + "\n".join(lines) + "\n" + text[end:], "utf-8")


if __name__ == "__main__":
    main()
