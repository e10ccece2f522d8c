"""How often the next source lies in its prediction interval, and the mean in its interval.

    python tests/bench/prediction_coverage.py

Sources of 60 to 300 people, shares around 0.8, with a standard deviation tau between sources on the
logit scale; 1500 simulated studies of each kind. Takes a minute.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from kfold_hs.judge.stats.random_effects import combine, on_logit_scale

SOURCES, TAUS, STUDIES, MEAN = (3, 4, 5, 8, 12), (0.0, 0.25, 0.5, 1.0), 1500, 1.4


def coverage(k: int, tau: float, n_studies: int = STUDIES) -> tuple[float, float]:
    """Shares of studies whose intervals hold the next source, and the mean."""
    rng, of_next, of_mean = np.random.default_rng(1), 0, 0
    for _ in range(n_studies):
        n = rng.integers(60, 300, k)
        own = expit(MEAN + tau * rng.standard_normal(k + 1))
        shares = rng.binomial(n, own[:k]) / n
        each = zip(shares.tolist(), n.tolist(), strict=True)
        scaled = [on_logit_scale(p, p * (1 - p) / m, m) for p, m in each]
        found = combine(*np.array(scaled).T)
        assert found.prediction is not None
        low, high = found.prediction
        of_next += bool(low <= logit(own[k]) <= high)
        low, high = found.interval
        of_mean += low <= MEAN <= high
    return of_next / n_studies, of_mean / n_studies


if __name__ == "__main__":
    print("| sources | " + " | ".join(f"tau {tau:g}" for tau in TAUS) + " |")
    print("|---" * (len(TAUS) + 1) + "|")
    for k in SOURCES:
        cells = [f"{a:.1%} / {b:.1%}".replace("%", " %") for a, b in (coverage(k, t) for t in TAUS)]
        print(f"| {k} | {' | '.join(cells)} |", flush=True)
