"""`make check-python`: whether kfold-hs works with this Python, in minutes.

A run of the built-in cohort by the installed command, then the tests that train next to nothing.
"""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["data.n_patients=24", "train.epochs=2", "--folds", "2"]
FAST = ["tests/config", "tests/splits", "tests/cohort", "tests/judge", "tests/predictions"]


def main() -> None:
    command = Path(sys.executable).with_name("kfold-hs" + Path(sys.executable).suffix)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run([str(command), "run", *SMALL, "--root", root], check=True)
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FAST]
    subprocess.run(tests, check=True, cwd=ROOT)
    print(f"kfold-hs works with Python {platform.python_version()}, {platform.platform()}.")


if __name__ == "__main__":
    main()
