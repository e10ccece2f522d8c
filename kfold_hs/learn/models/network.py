"""The network: a backbone on one-channel features, and a linear head a task or for all.

features (n, 1, n_mels, n_frames) -> `front` -> backbone with its pooling, or one of `pooling`
[the crops of a patient -> one embedding, by `attention`]
[covariates (n, width) -> linear, SiLU, beside it] -> dropout
-> [linear, SiLU, dropout] -> `heads`
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import timm
import torch
from torch import nn

from kfold_hs.cohort import Task
from kfold_hs.cohort.build import tasks_of
from kfold_hs.config import plugins
from kfold_hs.config.backbones import LOCAL
from kfold_hs.config.models import BackboneConfig
from kfold_hs.config.schema import Config, ModelConfig, NetworkConfig
from kfold_hs.errors import ConfigError, nearest
from kfold_hs.learn.device import in_float32, keep_freed_memory
from kfold_hs.learn.models.heads import HEADS
from kfold_hs.learn.models.input_scaling import Front
from kfold_hs.learn.models.own import check_own, own_backbone, own_network
from kfold_hs.learn.models.pooling import POOLINGS, GatedAttention
from kfold_hs.learn.models.pretrained import load_pretrained

_COVARIATE_SIZE = 16


@dataclass(frozen=True)
class Inputs:
    """What a network is given.

    Parameters
    ----------
    n_covariates : int
        Width of the covariates that `forward` is given beside the features; 0: none.
    of_patients : bool
        Examples are bags of crops (`train.level=patient`), which attention pools.
    n_bands : int
        Bands that `front` scales; 0: none.
    crop : (int, int)
        Bands and frames of a crop; what a plug-in's network is first asked with.
    """

    n_covariates: int = 0
    of_patients: bool = False
    n_bands: int = 0
    crop: tuple[int, int] = (64, 64)

    @classmethod
    def of(cls, config: Config, n_covariates: int) -> Inputs:
        of_patients = config.train.level == "patient"
        crop = config.features.n_mels, config.train.crop_frames
        return cls(n_covariates, of_patients, config.features.n_fitted_bands, crop)


class HeartSoundNet(nn.Module):
    """Backbone and heads; `forward` gives logits (n, C) by task name."""

    def __init__(
        self, backbone: nn.Module, config: BackboneConfig, tasks: tuple[Task, ...], inputs: Inputs
    ) -> None:
        super().__init__()
        size = _n_features(backbone)
        self.front = Front(inputs.n_bands, config.deltas)
        self.backbone = backbone
        self.pool: nn.Module | None = None
        if isinstance(config, ModelConfig) and config.pool != "backbone":
            size = _n_channels(backbone, config)
            self.pool = POOLINGS[config.pool](size)
        self.attention = GatedAttention(size) if inputs.of_patients else None
        self.beside: nn.Module | None = None
        if inputs.n_covariates:
            self.beside = nn.Sequential(nn.Linear(inputs.n_covariates, _COVARIATE_SIZE), nn.SiLU())
            size += _COVARIATE_SIZE
        neck: list[nn.Module] = [nn.Dropout(config.dropout)]
        if config.hidden:
            neck += [nn.Linear(size, config.hidden), nn.SiLU(), nn.Dropout(config.dropout)]
            size = config.hidden
        self.neck = nn.Sequential(*neck)
        self.heads = HEADS[config.heads](size, tasks)

    def forward(
        self,
        x: torch.Tensor,
        covariates: torch.Tensor | None = None,
        present: torch.Tensor | None = None,
        n_bands: int | None = None,
    ) -> dict[str, torch.Tensor]:
        """Crops, or with `present` (n_bags, n_slots) the crops of bags one after another.

        With `n_bands`, they are heard in no more than so many bands.
        """
        features = self.embed(x, n_bands)
        if self.attention is not None:
            assert present is not None
            features = self.attention(features, present)
        return self.classify(features, covariates)

    def embed(self, x: torch.Tensor, n_bands: int | None = None) -> torch.Tensor:
        """Features of crops, (n, size)."""
        x = self.front(x, n_bands)
        if self.pool is None:
            features: torch.Tensor = self.backbone(x)
        else:
            features = self.pool(self.backbone.forward_features(x))  # type: ignore[operator]
        return features

    def feature_map(self, x: torch.Tensor) -> torch.Tensor:
        """What the backbone's last convolution gives of crops, (n, C, bands, frames)."""
        found: torch.Tensor = self.backbone.forward_features(self.front(x))  # type: ignore[operator]
        return found

    def of_map(self, x: torch.Tensor) -> torch.Tensor:
        """Features of a feature map: `embed` is the one after the other."""
        pool = self.backbone.forward_head if self.pool is None else self.pool
        features: torch.Tensor = pool(x)  # type: ignore[operator]
        return features

    def classify(
        self, features: torch.Tensor, covariates: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Logits by task of features, (n, size)."""
        with in_float32(features):
            features = features.float()
            if self.beside is not None:
                assert covariates is not None
                features = torch.cat([features, self.beside(covariates)], dim=1)
            logits: dict[str, torch.Tensor] = self.heads(self.neck(features))
        return logits


def _n_features(backbone: nn.Module) -> int:
    """Width of what a backbone gives; for some of timm's it is not its `num_features`."""
    size = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    assert isinstance(size, int)
    return size


def _n_channels(backbone: nn.Module, config: ModelConfig) -> int:
    """Channels of the backbone's feature map.

    Raises
    ------
    ConfigError
        It has none: a transformer gives tokens.
    """
    training = backbone.training
    with torch.inference_mode():
        size = getattr(backbone, "default_cfg", {}).get("input_size", (3, 64, 64))[1]
        features = backbone.eval().forward_features(torch.zeros(1, 1 + config.deltas, size, size))  # type: ignore[operator]
    backbone.train(training)
    if features.ndim != 4 or features.shape[1] != backbone.num_features:
        raise ConfigError(
            f"model.pool={config.pool} takes a feature map, and model.backbone={config.backbone} "
            f"gives {tuple(features.shape)}. Set model.pool=backbone."
        )
    return int(features.shape[1])


class OwnNetwork(HeartSoundNet):
    """A plug-in's network from crops to logits; `forward` is that of all networks."""

    def __init__(self, network: nn.Module, config: NetworkConfig, inputs: Inputs) -> None:
        nn.Module.__init__(self)
        self.front = Front(inputs.n_bands, config.deltas)
        self.backbone = network
        self.pool = self.attention = self.beside = None

    def forward(
        self,
        x: torch.Tensor,
        covariates: torch.Tensor | None = None,
        present: torch.Tensor | None = None,
        n_bands: int | None = None,
    ) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = self.backbone(self.front(x, n_bands))
        return found

    def embed(self, x: torch.Tensor, n_bands: int | None = None) -> torch.Tensor:
        """Logits of all tasks beside each other, (n, sum of C): such a network has no embedding."""
        return torch.cat(list(self(x, n_bands=n_bands).values()), dim=1)


def make_model(
    config: NetworkConfig,
    tasks: tuple[Task, ...],
    seed: int,
    inputs: Inputs = Inputs(),
) -> HeartSoundNet:
    """A network with its initial weights: pretrained where asked for, else from `seed`.

    Raises
    ------
    ConfigError
        No timm backbone has this name, or it cannot be built with these settings; a plug-in's
        network does not give what it must.
    WeightsError
        The pretrained weights cannot be had; nothing is trained from scratch instead.
    """
    keep_freed_memory()
    if not isinstance(config, ModelConfig):
        torch.manual_seed(seed)
        if not isinstance(config, BackboneConfig):
            return OwnNetwork(own_network(config, tasks, inputs.crop), config, inputs)
        return HeartSoundNet(own_backbone(config, inputs.crop), config, tasks, inputs)
    check_backbone(config)
    torch.manual_seed(seed)
    backbone = _make_backbone(config)
    if config.weights != "none":
        with torch.random.fork_rng(devices=[]):  # heads begin alike whatever a loader draws
            load_pretrained(backbone, config)
    return HeartSoundNet(backbone, config, tasks, inputs)


def untrained_model(config: Config, tasks: tuple[Task, ...], n_covariates: int) -> HeartSoundNet:
    """The network of a configuration, its pretrained weights not fetched: to be loaded or timed.

    Raises
    ------
    ConfigError
        A plug-in is not here, or has another source than the configuration names.
    """
    plugins.check(config.plugins)
    return make_model(_without_weights(config.model), tasks, 0, Inputs.of(config, n_covariates))


def to_device(model: HeartSoundNet, device: torch.device) -> HeartSoundNet:
    """The same network there, its memory laid out as convolutions like it."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _without_weights(config: NetworkConfig) -> NetworkConfig:
    if not isinstance(config, ModelConfig):
        return config
    return config.model_copy(update={"weights": "none", "weights_file": None})


def _make_backbone(config: ModelConfig) -> nn.Module:
    try:
        backbone: nn.Module = timm.create_model(
            _name_for_timm(config),
            pretrained=False,
            **({} if config.source is None else config.source.args),
            in_chans=1 + config.deltas,
            num_classes=0,
            # Not every backbone has stochastic depth; one that lacks it must not be asked.
            **({"drop_path_rate": config.drop_path} if config.drop_path else {}),
        )
    except TypeError as error:
        if not config.drop_path:
            raise ConfigError(
                f"model.backbone={config.backbone} cannot be built: {error}. Its config.json gives "
                f"{config.architecture} arguments that this version of timm does not know."
            ) from error
        raise ConfigError(
            f"model.backbone={config.backbone} cannot be built with model.drop_path="
            f"{config.drop_path}: {error}. Set model.drop_path=0."
        ) from error
    return backbone


def _name_for_timm(config: ModelConfig) -> str:
    """The architecture; or the place that describes weights which are to be loaded."""
    source = config.source
    if source is None or config.weights != "source":
        return config.architecture
    if source.file is None:
        return source.pinned
    return f"{LOCAL}{source.weights_file.parent}"


def check_network(config: Config) -> None:
    """Refuse a network that cannot take crops of these sizes: it is asked once, untrained.

    Raises
    ------
    ConfigError
        timm has no such backbone, it cannot be built, or it takes other sizes; with what it takes.
    """
    n_mels, n_frames = config.features.n_mels, config.train.crop_frames
    first = config.train.first_n_mels or n_mels, config.train.first_crop_frames or n_frames
    if isinstance(config.model, ModelConfig):
        check_backbone(config.model)
        _forward_once(_without_weights(config.model), frozenset({first, (n_mels, n_frames)}))
        return
    check_own(config)
    with torch.random.fork_rng(devices=[]):
        for crop in {first, (n_mels, n_frames)}:
            make_model(
                config.model, tasks_of(config.data.tasks), 0,
                replace(Inputs.of(config, int(bool(config.model.covariates))), crop=crop),
            )  # fmt: skip


@functools.lru_cache(maxsize=256)  # the variants of a search ask again and again
def _forward_once(config: NetworkConfig, sizes: frozenset[tuple[int, int]]) -> None:
    assert isinstance(config, ModelConfig)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        backbone = _make_backbone(config).eval()
        for n_mels, n_frames in sorted(sizes):
            try:
                backbone(torch.zeros(1, 1 + config.deltas, n_mels, n_frames))
            except Exception as error:  # each of timm's thousand says it in its own way
                text = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ConfigError(
                    f"model.backbone={config.backbone} cannot take crops of {n_mels} bands x "
                    f"{n_frames} frames: {text[:80].rstrip('.')}. {_what_fits(backbone)}"
                ) from error


@functools.lru_cache(maxsize=256)
def try_weights(config: NetworkConfig) -> None:
    """Load pretrained weights once, into a network that is thrown away; from the hub they are then
    in its cache.

    Raises
    ------
    WeightsError
        They cannot be had, or do not fit.
    """
    if isinstance(config, ModelConfig) and config.weights != "none":
        with torch.random.fork_rng(devices=[]):
            load_pretrained(_make_backbone(config), config)


def _what_fits(backbone: nn.Module) -> str:
    _, height, width = getattr(backbone, "default_cfg", {}).get("input_size", (3, 224, 224))
    return (
        f"It was made for {height} x {width}: set features.n_mels={height} "
        f"train.crop_frames={width} (and a features.n_fft that has bins for all bands), without "
        "crops that grow, or choose a convolutional backbone, which takes any size."
    )


def check_backbone(config: ModelConfig) -> None:
    """Refuse a backbone that timm does not have, with the nearest name."""
    name = config.architecture
    if not timm.is_model(name):
        guess = nearest(name, timm.list_models())
        of = "" if config.source is None else f", which {config.backbone} names"
        raise ConfigError(
            f"timm has no model.backbone {name!r}{of}; "
            "`python -c 'import timm; print(*timm.list_models())'` lists them."
            + (f" Did you mean {guess!r}?" if guess else "")
        )
