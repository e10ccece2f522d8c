"""Settings and tasks of a small network."""

from __future__ import annotations

from kfold_hs.cohort import Task
from kfold_hs.config.schema import ModelConfig

TASKS = (
    Task("murmur", ("Present", "Unknown", "Absent"), "Present", (1.0, 1.0, 1.0), "mean"),
    Task("outcome", ("Abnormal", "Normal"), "Abnormal", (1.0, 1.0), "mean"),
)


def config(**values: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {"backbone": "test_efficientnet", "weights": "none", **values}
    )
