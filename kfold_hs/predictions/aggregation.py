"""From crops to a recording, and from recordings to a patient.

`predict.crop_pool` makes a recording's probabilities from its crops', and then
`predict.patient_pool` a patient's from its recordings', by the rules of `kfold_hs.config.poolings`.
"""

from __future__ import annotations

import numpy as np

from kfold_hs.config.poolings import POOLS


def pool_groups(
    probs: np.ndarray, owner: np.ndarray, n_groups: int, rule: str, positive: int
) -> np.ndarray:
    """Pool the crops of every recording, or the recordings of every patient.

    Parameters
    ----------
    probs : ndarray, shape (n, C)
    owner : ndarray, shape (n,)
        The recording of each crop or patient of each recording, in [0, n_groups); each
        occurs.
    rule : str
        A key of `kfold_hs.config.poolings.POOLS`.
    positive : int
        Index of the positive class.

    Returns
    -------
    ndarray, shape (n_groups, C)
    """
    order = np.argsort(owner, kind="stable")
    count = np.bincount(owner, minlength=n_groups)
    first = np.cumsum(count) - count
    pooled = np.empty((n_groups, probs.shape[1]))
    # Groups of one size at once.
    for size in np.unique(count):
        groups = np.flatnonzero(count == size)
        rows = order[first[groups][:, None] + np.arange(size)]
        pooled[groups] = POOLS[rule](probs[rows], positive)
    return pooled
