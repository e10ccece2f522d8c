"""What of the settings is part of a digest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kfold_hs.config.base import Choice, Settings
from kfold_hs.config.former_keys import TODAY, as_once
from kfold_hs.config.models import ModelConfig

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config

# A digest leaves out values that equal their declared default, so that a new setting, whose default
# is what was done before, does not orphan the runs made before it. The settings listed here are as
# old as the digests and had no declared default then: they are always part of one, and only their
# defaults may be changed. No key is ever added to or taken from this list.
ALWAYS = {
    "": "recipe seed n_seeds select",
    "features": "sample_rate_hz window_s hop_s n_fft n_mels f_min_hz f_max_hz normalise",
    "loss": "kind label_smoothing class_weights gamma",
    "optim": "lr weight_decay beta1 beta2",
    "sched": "kind pct_start div_factor final_div_factor warmup final_ratio n_cycles lengthen "
    "every gamma factor patience threshold",
    "augment": "mixup_alpha time_masks time_mask_frames band_masks band_mask_bands",
    "train": "epochs batch_size crop_frames crops_per_recording site_labels sampling grad_clip "
    "accumulate first_crop_frames grow_until precision",
    "split": "n_folds n_repeats stratify test by audit",
    "predict": "crop_overlap batch_size patient_pool n_shifts",
}

_GROUPS = (
    "data", "features", "model", "loss", "optim", "sched", "augment", "train", "split", "predict",
)  # fmt: skip
_FIRST = {"model": "timm", "features": "mel"}
"""What there was before there were kinds of it."""


def for_digest(settings: Settings, group: str) -> dict[str, Any]:
    """Plain values of a group of settings, less those that equal a default that came later.

    Parameters
    ----------
    settings : Settings
    group : str
        E.g. "features"; "" is the whole configuration.
    """
    full = settings.model_dump(mode="json")
    if isinstance(settings, Choice) and settings.plugin:
        return full  # the same whether the plug-in, which declares defaults, is here or not
    short = settings.model_dump(mode="json", exclude_defaults=True)
    always = ALWAYS.get(group, "").split()
    if full.get("kind", _FIRST.get(group)) != _FIRST.get(group):
        always.append("kind")
    found = {key: short.get(key, full[key]) for key in full if key in short or key in always}
    if group == "train":
        found = {key: found[key] for key in found if key not in TODAY} | as_once(full)
    return found


def decisive(config: Config) -> dict[str, Any]:
    """Plain values of what decides the out-of-fold predictions; see `Config.digest`."""
    values = for_digest(config, "")
    for group in _GROUPS:
        values[group] = for_digest(getattr(config, group), group)
    values.pop("frames", None)
    if config.frames.is_on:
        values["frames"] = for_digest(config.frames, "frames")
    for key in ("headline", "target", "track", "judge", "plugins"):
        values.pop(key, None)
    if used := {n: p.sha256 for n, p in config.plugins.items() if p.is_trained_with}:
        values["plugins"] = used
    if isinstance(config.model, ModelConfig) and (source := config.model.source):
        values["model"] |= {"backbone": source.architecture, "source": source.identity}
    for key in ("root", "path", "aliases", "map"):
        values["data"].pop(key, None)
    for task in values["data"]["tasks"].values():
        task.pop("stack", None)
    values["predict"].pop("stack", None)
    for key in ("file", "audit"):
        values["split"].pop(key, None)
    if config.split.hold_out is not None:  # its values are the folds, also where it is said
        values["split"].pop("n_folds")
    if config.train.uncertain == "class":  # then nothing reads which class is the uncertain one
        for task in values["data"]["tasks"].values():
            task.pop("uncertain", None)
    if config.device_kind != "cpu":
        values["train"]["precision"] = config.precision
    if revised := _revised(config):
        values["revised"] = revised
    return values


def _revised(config: Config) -> list[str]:
    """Parts in use that computed otherwise once: what was trained then is another training."""
    parts = {
        "average": config.train.average != "none",
        "heads": config.precision == "bfloat16",
        "stretch": config.augment.stretch > 0,
    }
    return [name for name, is_used in parts.items() if is_used]


def sha256_of(values: dict[str, Any]) -> str:
    """SHA-256 (hex) of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
