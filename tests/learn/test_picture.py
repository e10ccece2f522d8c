"""The confusion matrix that trackers show."""

from __future__ import annotations

import numpy as np

from kfold_hs.learn.tracking.trackers import confusion_counts, confusion_picture


def test_counts_have_a_row_a_label() -> None:
    y_true, y_pred = np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1])
    assert confusion_counts(y_true, y_pred, 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_cells_are_painted_by_their_share_of_the_row() -> None:
    picture = confusion_picture(np.array([[9, 0], [1, 1]]), ("Abnormal", "Normal"))
    assert picture.dtype == np.uint8
    corners = [[picture[70 + 96 * row, 126 + 96 * column] for column in (0, 1)] for row in (0, 1)]
    assert corners[0][0].tolist() == [33, 102, 172]
    assert corners[0][1].tolist() == [255, 255, 255]
    assert corners[1][0].tolist() == corners[1][1].tolist() == [144, 178, 213]


def test_a_row_without_patients_is_white() -> None:
    picture = confusion_picture(np.array([[0, 0], [0, 3]]), ("a", "b"))
    assert picture[70, 126].tolist() == [255, 255, 255]
