"""Runs the benches of speed and memory and writes docs/performance.md.

    python tests/bench/performance.py [--quick]

On a machine that does nothing else. --quick runs them small and writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

BENCHES = (
    "throughput",
    "features",
    "judging",
    "memory",
    "growth",
    "frameworks",
    "jobs",
    "predict_throughput",
    "segmenting",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    words = ["--quick", "--rounds", "1"] if parser.parse_args().quick else ["--write"]
    for name in BENCHES:
        started = time.perf_counter()
        subprocess.run([sys.executable, Path(__file__).parent / f"{name}.py", *words], check=True)
        print(f"{name}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
