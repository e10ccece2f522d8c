"""How threads of a computation wait for each other (OpenMP): briefly, then they sleep.

By default they turn in circles for milliseconds. On a machine that does other work as well, the
thread that they wait for is not on a core meanwhile, and they keep it off: a training beside one
busy process took up to thirty times as long. Sleeping at once costs a small network on an idle
machine a third of its time. What is set here is what GNU's OpenMP takes by itself where it sees
more threads than cores.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "GOMP_SPINCOUNT"
"""Read by GNU's OpenMP, which torch and scikit-learn bring along, when it is loaded."""
FEW = "1000"
_SAID_OTHERWISE = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", SPINS)


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Say so to every OpenMP that is loaded from now on, here and in processes started from here.

    Changes nothing where the user has said how threads shall wait.
    """
    if not any(name in environment for name in _SAID_OTHERWISE):
        environment[SPINS] = FEW
