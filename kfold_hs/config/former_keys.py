"""Keys that `train` had once: files hold them, digests are made of them, nobody may write them.

| once | today |
|---|---|
| ema_decay=D | average=ema average_decay=D |
| swa_start=S, swa_update_bn=true | average=swa average_start=S, average_update_bn=true |
| compile=true | backend=compile |
| cuda_graphs=true | backend=cuda_graphs |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OFF = {
    "ema_decay": 0,
    "swa_start": 1,
    "swa_update_bn": False,
    "compile": False,
    "cuda_graphs": False,
}
"""The keys, with the value that turned each of them off."""
TODAY = ("average", "average_decay", "average_start", "average_update_bn", "backend")


def as_today(train: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `train` by today's keys, whichever keys they have."""
    found = {key: value for key, value in train.items() if key not in OFF}
    given = {key: train[key] for key, off in OFF.items() if train.get(key, off) != off}
    if "ema_decay" in given:
        found |= {"average": "ema", "average_decay": given["ema_decay"]}
    if "swa_start" in given:
        found |= {"average": "swa", "average_start": given["swa_start"]}
    if "swa_update_bn" in given:
        found |= {"average": "swa", "average_update_bn": given["swa_update_bn"]}
    for backend in given.keys() & {"compile", "cuda_graphs"}:
        found["backend"] = backend
    return found


def as_once(train: Mapping[str, Any]) -> dict[str, Any]:
    """What all settings of `train` say of averages and backends, as digests have it."""
    found: dict[str, Any] = {"ema_decay": 0.0, "swa_start": 1.0}
    if train["average"] == "ema":
        found["ema_decay"] = train["average_decay"]
    if train["average"] == "swa":
        found["swa_start"] = train["average_start"]
        found |= {"swa_update_bn": True} if train["average_update_bn"] else {}
    return found | ({train["backend"]: True} if train["backend"] != "eager" else {})


def advice(key: str, value: object) -> str:
    """What to write instead of a key that there was once; nothing for any other key."""
    name = key.removeprefix("train.")
    if name == key or name not in OFF:
        return ""
    is_plain = isinstance(value, bool | int | float)
    today = as_today({name: value if is_plain else "VALUE"})
    if not today:
        today = {"backend": "eager"} if name in ("compile", "cuda_graphs") else {"average": "none"}
    words = (f"train.{k}={str(v).lower() if v is True else v}" for k, v in today.items())
    return f"{key} has another name today: write {' '.join(words)}."
