"""A confusion matrix as a picture, for trackers; the report draws its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CELL, _LEFT, _TOP = 96, 120, 64
_FULL = np.array([33, 102, 172])  # what a share of 1 is painted with


def confusion_counts(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Patients by label (row) and most probable class (column), (C, C) int."""
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (y_true, y_pred), 1)
    return counts


def confusion_picture(counts: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Counts, painted by their share of the label's row.

    Parameters
    ----------
    counts : ndarray of int, shape (C, C)
        A row a label, a column a most probable class.
    classes : sequence of str

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    n = len(classes)
    image = Image.new("RGB", (_LEFT + n * _CELL, _TOP + n * _CELL), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    draw.text((8, 8), "label (rows), called (columns)", fill="black", font=font)
    for i, name in enumerate(classes):
        at = _LEFT + i * _CELL + _CELL // 2, _TOP + i * _CELL + _CELL // 2
        draw.text((at[0], _TOP - 14), name, fill="black", font=font, anchor="mm")
        draw.text((_LEFT - 10, at[1]), name, fill="black", font=font, anchor="rm")
    for row in range(n):
        for column in range(n):
            share = shares[row, column]
            x, y = _LEFT + column * _CELL, _TOP + row * _CELL
            red, green, blue = (int(each) for each in 255 + share * (_FULL - 255))
            draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=(red, green, blue))
            text = f"{counts[row, column]}\n{share:.0%}"
            ink = "white" if share > 0.5 else "black"
            middle = (x + _CELL // 2, y + _CELL // 2)
            draw.text(middle, text, fill=ink, font=font, anchor="mm", align="center")
    return np.asarray(image)
