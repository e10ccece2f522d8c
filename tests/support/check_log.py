"""A plug-in of pytest: a line of JSON for every test as it ends, so that a killed run leaves some.

KFOLD_HS_CHECKS=FILE python -m pytest -p support.check_log ...
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = os.environ.get("KFOLD_HS_CHECKS")
    if not path or "PYTEST_XDIST_WORKER" in os.environ:  # whoever started it reports its tests
        return
    if report.when != "call" and report.outcome == "passed":
        return
    why = ""
    if report.skipped and isinstance(report.longrepr, tuple):
        why = report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        why = report.longreprtext
    row = {
        "file": report.nodeid.split("::")[0],
        "test": report.nodeid.split("::")[-1],
        "result": report.outcome,
        "seconds": round(report.duration, 2),
        "figures": dict(report.user_properties),
        "why": why,
    }
    with Path(path).open("a") as file:
        file.write(json.dumps(row) + "\n")
