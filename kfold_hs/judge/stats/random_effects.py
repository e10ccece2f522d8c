"""Random effects: values of several sources as draws from all sources, and the next draw.

With y_i the value of source i, v_i its variance over people, and k sources:

    y_i ~ N(theta_i, v_i),  theta_i ~ N(mu, tau^2)

tau^2 is Paule & Mandel's (J. Research NBS 87, 1982), by statsmodels: it solves
sum (y_i - mu)^2 / (v_i + tau^2) = k - 1, and is 0 where the sources differ by less than chance.
The interval of mu is Hartung, Knapp, Sidik & Jonkman's, with t on k - 1 degrees of freedom and
never narrower than without their correction (Roever et al., BMC Med. Res. Methodol. 15, 2015).
The prediction interval of the next theta is that of Higgins, Thompson & Spiegelhalter (J. R. Stat.
Soc. A 172, 2009):

    mu +- t_{k-2} sqrt(tau^2 + SE(mu)^2)

which asks for 3 sources. Shares and AUROC are combined on the logit scale (Snell et al., Stat.
Methods Med. Res. 27, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special, stats
from statsmodels.stats.meta_analysis import combine_effects

from kfold_hs.judge.stats.intervals import LEVEL

FEWEST_TO_PREDICT = 3


@dataclass(frozen=True)
class Combined:
    """Values of k sources, combined; all on the scale on which they were given.

    Parameters
    ----------
    mean, se : float
        Of mu, and its standard error.
    se_corrected : float
        Hartung-Knapp's, at least `se`.
    tau : float
        Standard deviation of the sources' own values.
    q : float
        Cochran's Q: squared differences from the mean, each over its variance.
    n_sources : int
        At least 2.
    """

    mean: float
    se: float
    se_corrected: float
    tau: float
    q: float
    n_sources: int

    @property
    def i2(self) -> float:
        """Share of the differences that chance among people does not explain, in [0, 1)."""
        return max(0.0, 1 - (self.n_sources - 1) / self.q) if self.q > 0 else 0.0

    @property
    def p_value(self) -> float:
        """Of the sources being equally good (chi-squared test of Q)."""
        return float(stats.chi2.sf(self.q, self.n_sources - 1))

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean over all sources."""
        return self._around(self.n_sources - 1, self.se_corrected)

    @property
    def prediction(self) -> tuple[float, float] | None:
        """Of the value of a further source; None with fewer than 3 sources."""
        if self.n_sources < FEWEST_TO_PREDICT:
            return None
        return self._around(self.n_sources - 2, sqrt(self.tau**2 + self.se**2))

    def _around(self, df: int, se: float) -> tuple[float, float]:
        half = float(special.stdtrit(df, (1 + LEVEL) / 2)) * se
        return self.mean - half, self.mean + half


def combine(values: np.ndarray, variances: np.ndarray) -> Combined:
    """Combine values of two or more sources.

    Parameters
    ----------
    values, variances : ndarray of float, shape (k,)
        Finite; variances above 0.
    """
    with np.errstate(divide="ignore"):  # its own I², where all values are the same
        found = combine_effects(values, variances, method_re="iterated")
    return Combined(
        mean=float(found.mean_effect_re),
        se=float(found.sd_eff_w_re),
        se_corrected=max(float(found.sd_eff_w_re), sqrt(float(found.var_hksj_re))),
        tau=sqrt(float(found.tau2)),
        q=float(found.q),
        n_sources=len(values),
    )


def on_logit_scale(share: float, variance: float, n: int) -> tuple[float, float] | None:
    """A share and its variance on the logit scale; None where nothing varies.

    A share of exactly 0 or 1 has no logit: half a person of `n` is added to either side (Haldane
    1940; Anscombe 1956).
    """
    if min(share, 1 - share) <= 0:
        hits = share * n + 0.5
        return float(special.logit(hits / (n + 1))), 1 / hits + 1 / (n + 1 - hits)
    if variance <= 0:
        return None
    return float(special.logit(share)), variance / (share * (1 - share)) ** 2
