"""The text of a page."""

from __future__ import annotations

import re


def unmarked(page: str) -> str:
    """The page without the elements that say where a number comes from."""
    return re.sub(r"</?data\b[^>]*>", "", page)
