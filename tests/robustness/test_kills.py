"""One kill of every command of kills.py: its words are accepted, and nothing is lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_a_sample_of_the_campaign() -> None:
    import kills

    tried = kills.main(["--kills", "1"])
    assert [each["command"].strip("`") for each in tried] == [*kills.commands(["x=y"])]
    for each in tried:
        assert each["same as in one go"] == "1 of 1", each
        # These write over nothing, whole as it may be after a late kill.
        if each["command"] not in {"`export`", "`paper`"}:
            assert each["repeat ended in an error"] == "0", each
