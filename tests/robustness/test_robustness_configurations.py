"""Some hundred of the random configurations of tests/robustness/configurations.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "robustness"))
import configurations


def test_random_configurations_compose_or_are_refused() -> None:
    for counts in configurations.campaign(150, seed=1).values():
        # What is slow there is a matter of the machine, and decides no test.
        assert set(counts) <= {"accepted", "refused", "slow"}
        assert counts["refused"]
