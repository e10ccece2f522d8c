"""All checks on a GPU, in order of worth, and one table last: tests/gpu/run.sh runs it.

    python tests/gpu/checks.py [NAME ...] [--limit SECONDS] [--factor F]

Each group of checks is a process of its own with a limit of its own: whatever happens in it, the
next one runs. Without CUDA what needs it is skipped, and the table says so. Ends with 0 where
nothing failed, 1 otherwise. Writes checks.json to the folder that OUT names.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
OUT = Path(os.environ.get("OUT", Path(__file__).parent / "out"))
NO_CUDA = "no CUDA device"


@dataclass(frozen=True)
class Group:
    """Tests that are run by one call of pytest.

    Parameters
    ----------
    limit_s : float
        After so many seconds its processes are ended.
    words : tuple of str
        For pytest.
    device : str
        KFOLD_HS_TEST_DEVICE: where trainings of the common tests go.
    n_workers : int
        Processes of pytest-xdist, where it is there; 0: none.
    """

    name: str
    limit_s: float
    words: tuple[str, ...]
    device: str = ""
    n_workers: int = 0


TRAININGS = ("test_fit", "test_patients", "test_heads", "test_uncertain", "test_input_scaling",
             "test_stream")  # fmt: skip
PARTS = ("learn/test_models", "learn/test_features", "learn/test_learn_parts",
         "learn/test_optimizer", "learn/test_checkpoint", "learn/test_step", "learn/test_on_device",
         "judge/test_metrics", "splits/test_splits", "cohort/test_audio")  # fmt: skip
TRAIN = "resume or bits or learns or whole_batches or memory_gives or every_rule"
GROUPS = (
    Group("steps", 90, ("-m", "gpu", "tests/gpu/test_steps.py")),
    Group("backends", 100, ("-m", "gpu", "tests/gpu/test_backends.py")),
    Group("runs", 120, ("-m", "gpu", "tests/gpu/test_runs.py"), n_workers=6),
    Group("frames", 90, ("-m", "gpu", "tests/gpu/test_frame_branch.py")),
    Group("suite on the GPU", 90, (*(f"tests/learn/{name}.py" for name in TRAININGS),
          "-m", "not slow", "-k", TRAIN), "cuda", 6),
    Group("suite on the CPU", 90, (*(f"tests/{name}.py" for name in PARTS),
          "-m", "not slow and not gpu"), "cpu", 8),
)  # fmt: skip
"""In order of worth. The last group is about the versions of what is installed there."""


@dataclass(frozen=True)
class Row:
    """A line of the table: the tests of one function."""

    check: str
    result: str
    figure: str = ""
    seconds: float = 0.0
    failed: bool = False


@dataclass
class Ended:
    """How a group ended, and the tests that it reported."""

    code: int | None
    seconds: float
    tests: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""


def run(group: Group, limit_s: float, root: Path = ROOT) -> Ended:
    """Run a group; `code` is None where it had to be ended."""
    workers = ["-n", str(min(group.n_workers, os.cpu_count() or 1)), "--dist", "worksteal"]
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "support.check_log", "-p", "no:cacheprovider",
        "-o", "addopts=", "-p", "no:schemathesis", "-p", "no:hydra_pytest",
        "-W", "default", "--tb=short",
        *(workers if group.n_workers and find_spec("xdist") else []), *group.words,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        log, output = Path(name) / "tests.jsonl", Path(name) / "output"
        # A group is no part of a test run that starts it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        environment["KFOLD_HS_CHECKS"] = str(log)
        # Exact and inexact trainings share a process: torch looks for it once.
        environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if group.device:
            environment["KFOLD_HS_TEST_DEVICE"] = group.device
        started = time.perf_counter()
        with output.open("w") as file:
            process = subprocess.Popen(
                command, cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
            try:
                code: int | None = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
        lines = log.read_text().splitlines() if log.is_file() else []
        ended = Ended(code, time.perf_counter() - started)
        ended.tests = [json.loads(line) for line in lines]
        ended.output = output.read_text()
    return ended


def rows(group: Group, ended: Ended) -> list[Row]:
    """A row a test function, and one for what went wrong with all of them."""
    functions: dict[str, list[dict[str, Any]]] = {}
    for test in ended.tests:
        functions.setdefault(_function(test), []).append(test)
    if group.name.startswith("suite") and ended.tests:
        functions = {"all": ended.tests}
    found = [_row(f"{group.name}: {name}", each) for name, each in functions.items()]
    n = len(ended.tests)
    if ended.code is None:
        text = f"ended after {ended.seconds:.0f} s, its limit; {n} tests were done"
        found.append(Row(group.name, text, seconds=ended.seconds, failed=True))
    elif ended.code not in {0, 1} or not n:
        text = f"failed: pytest ended with {ended.code}"
        found.append(Row(group.name, text, seconds=ended.seconds, failed=True))
    return found


def _function(test: dict[str, Any]) -> str:
    return str(test["test"].split("[")[0].removeprefix("test_").replace("_", " "))


def _row(name: str, tests: Sequence[dict[str, Any]]) -> Row:
    each = {r: [t for t in tests if t["result"] == r] for r in ("passed", "failed", "skipped")}
    if each["failed"]:
        result = f"FAILED: {len(each['failed'])} of {len(tests)}"
    elif each["passed"]:
        result = f"{len(each['passed'])} passed"
    else:
        result = f"skipped: {each['skipped'][0]['why']}"
    if each["skipped"] and (each["passed"] or each["failed"]):
        result += f", {len(each['skipped'])} skipped"
    largest: dict[str, float] = {}
    for test in tests:
        for label, number in test["figures"].items():
            largest[label] = max(largest.get(label, number), number)
    figure = ", ".join(f"{label} {number:.3g}" for label, number in largest.items())
    seconds = sum(test["seconds"] for test in tests)
    return Row(name, result, figure, seconds, bool(each["failed"]))


def faults(ended: Ended, most: int = 3) -> str:
    """The ends of the first tracebacks, or of what pytest printed."""
    failed = [test for test in ended.tests if test["result"] == "failed"]
    if not failed:
        return "\n".join(ended.output.splitlines()[-15:])
    parts = [
        "\n".join([test["test"], *(f"    {line}" for line in test["why"].splitlines()[-12:])])
        for test in failed[:most]
    ]
    more = [f"and {len(failed) - most} more: checks.json"] if len(failed) > most else []
    return "\n".join([*parts, *more])


def table(found: Sequence[Row]) -> str:
    lines = [("check", "result", "figure (the largest)", "seconds")]
    lines += [(r.check, r.result, r.figure, f"{r.seconds:.1f}") for r in found]
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    return "\n".join(
        "  ".join([*(line[k].ljust(widths[k]) for k in range(3)), line[3].rjust(7)])
        for line in lines
    )


def machine() -> dict[str, Any]:
    """Python, torch and the card; how the environment was made."""
    import torch

    state = OUT / "install.state"
    there = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "card": torch.cuda.get_device_name(0) if there else NO_CUDA,
        "environment": state.read_text().strip() if state.is_file() else "of the caller",
    }


def first_row(about: dict[str, Any]) -> Row:
    """The environment as a check: faults of the installation are failures."""
    is_faulty = about["environment"].startswith("with faults")
    text = f"Python {about['python']}, torch {about['torch']}, {about['card']}"
    result = f"FAILED: {about['environment']}" if is_faulty else about["environment"]
    seconds = float(os.environ.get("INSTALL_S", 0))
    return Row("environment", result, text, seconds, is_faulty)


def run_all(groups: Sequence[Group], limit_s: float, has_cuda: bool) -> tuple[list[Row], list[Any]]:
    """Rows and tests of all groups, within a limit for all together."""
    found: list[Row] = []
    tests: list[Any] = []
    until = time.perf_counter() + limit_s
    for group in groups:
        left = until - time.perf_counter()
        if group.device == "cuda" and not has_cuda:
            found.append(Row(group.name, f"skipped: {NO_CUDA}"))
            continue
        if left < 10:
            text = f"not run: the {limit_s:.0f} s of all checks are over"
            found.append(Row(group.name, text, failed=True))
            continue
        ended = run(group, min(group.limit_s, left))
        found += (new := rows(group, ended))
        tests += [{"group": group.name, **test} for test in ended.tests]
        print(f"{group.name}: {len(ended.tests)} tests in {ended.seconds:.0f} s", flush=True)
        if any(row.failed for row in new):
            print(faults(ended), flush=True)
    return found, tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [group.name for group in GROUPS]
    parser.add_argument("names", nargs="*", help=f"of groups: {', '.join(names)}")
    parser.add_argument("--limit", type=float, default=330, help="seconds of all groups together")
    parser.add_argument("--factor", type=float, default=1, help="of all limits, where it is slow")
    given = parser.parse_args()
    if unknown := set(given.names) - set(names):
        parser.error(f"no group is called {', '.join(sorted(unknown))}: there are {names}")
    about = machine()
    print(about, flush=True)
    groups = [
        replace(group, limit_s=given.factor * group.limit_s)
        for group in GROUPS
        if not given.names or group.name in given.names
    ]
    found, tests = run_all(groups, given.factor * given.limit, about["card"] != NO_CUDA)
    found = [first_row(about), *found]
    OUT.mkdir(parents=True, exist_ok=True)
    content = {"machine": about, "rows": [asdict(row) for row in found], "tests": tests}
    (OUT / "checks.json").write_text(json.dumps(content, indent=1))
    print(f"\n{table(found)}\n")
    n_failed = sum(row.failed for row in found)
    print(f"{n_failed} of {len(found)} rows failed; {OUT / 'checks.json'}")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
