"""A headless browser for the tests of the pages: found, or obtained by `make browser`.

Looked for, in this order: what `KFOLD_HS_BROWSER` names, Chromium or Chrome on the path, the
one that Playwright has downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 120


def find_browser() -> str | None:
    """Path of a browser, or None where there is none."""
    if named := os.environ.get("KFOLD_HS_BROWSER"):
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    caches = [os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "~/.cache/ms-playwright")]
    caches += ["~/Library/Caches/ms-playwright"]
    for cache in caches:
        for pattern in ("chrom*/chrom*/chrome-headless-shell", "chrom*/chrom*/chrome"):
            if downloaded := sorted(Path(cache).expanduser().glob(pattern)):
                return str(downloaded[-1])
    return None


def obtain() -> None:
    """Try to install a browser; say what happened, and fail at nothing."""
    if found := find_browser():
        print(f"Browser for the tests of the pages: {found}")
        return
    ways = [[sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        # Comes with the libraries that a bare image lacks.
        ways.insert(0, ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"])
        ways.insert(0, ["apt-get", "update", "-qq"])
    for way in ways:
        try:
            subprocess.run(way, check=False, timeout=PATIENCE_S, capture_output=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{' '.join(way)}: {error}")
        if found := find_browser():
            print(f"Browser for the tests of the pages: {found}")
            return
    print("No browser could be installed: tests/report/test_pages.py will be skipped.")


if __name__ == "__main__":
    obtain()
