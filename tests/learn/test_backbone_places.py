"""Backbones by where they lie: local-dir:FOLDER and hf-hub:OWNER/NAME, without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from support.models import TASKS, config
from support.project import TINY, Silent, kfold_hs

from kfold_hs.bundle.format import Bundle
from kfold_hs.config.compose import compose, expand, load_yaml
from kfold_hs.config.digests import decisive
from kfold_hs.config.schema import ModelConfig
from kfold_hs.errors import ConfigError, KfoldHsError, WeightsError
from kfold_hs.learn.models.network import make_model
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

NAME = "test_efficientnet"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def save(folder: Path, seed: int = 5, name: str = NAME, **more: object) -> torch.nn.Module:
    """A network as timm saves it."""
    torch.manual_seed(seed)
    network = timm.create_model(name, pretrained=False, **more)
    timm.models.save_for_hf(network, folder, safe_serialization=True)
    return network.eval()


def of_folder(folder: Path, **more: object) -> ModelConfig:
    return config(backbone=f"local-dir:{folder}", **{"weights": "source", **more})


def composed(folder: Path, *more: str) -> ModelConfig:
    found = compose([*TINY, "data.path=t.csv", f"model.backbone=local-dir:{folder}", *more]).model
    assert isinstance(found, ModelConfig)
    return found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a hub that cannot be reached, with one repository."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "hub" / "models--lab--hearts"
    save(place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    return place


@pytest.mark.parametrize("n_classes", [1000, 0, 7])
def test_a_folder_gives_architecture_and_weights(tmp_path: Path, n_classes: int) -> None:
    source = save(tmp_path / "net", num_classes=n_classes)
    source.reset_classifier(0)  # type: ignore[operator]
    model = make_model(of_folder(tmp_path / "net"), TASKS, seed=0).eval()
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        expected = source(grey.expand(1, 3, 64, 64))
        torch.testing.assert_close(model.backbone(grey), expected, rtol=1e-4, atol=1e-4)
    from_scratch = make_model(of_folder(tmp_path / "net", weights="none"), TASKS, seed=0).eval()
    assert not torch.equal(from_scratch.backbone(grey), model.backbone(grey))


def test_arguments_and_channels_of_the_saved_network_count(tmp_path: Path) -> None:
    source = save(tmp_path / "net", in_chans=1, num_classes=0, act_layer="gelu")
    found = of_folder(tmp_path / "net")
    assert found.source is not None
    assert found.source.args == {"act_layer": "gelu", "global_pool": "avg"}
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        model = make_model(found, TASKS, seed=0).eval()
        torch.testing.assert_close(model.backbone(x), source(x))
        other = make_model(config(), TASKS, seed=0).eval()  # has SiLU
        other.backbone.load_state_dict(model.backbone.state_dict())
        assert not torch.allclose(other.backbone(x), source(x))


def test_colon_and_slashes_need_no_quotes(tmp_path: Path, hub: Path) -> None:
    """On the command line too, and the weights come along without a word."""
    save(tmp_path / "a net-1.0@x")
    found = composed(tmp_path / "a net-1.0@x")
    assert (found.weights, found.architecture) == ("source", NAME)
    assert composed(tmp_path / "a net-1.0@x", "model.weights=none").weights == "none"
    word = f"model.backbone=hf-hub:lab/hearts,local-dir:{tmp_path}/a net-1.0@x,resnet18"
    variants = [compose(words).model for words in expand([*TINY, "data.path=t.csv", word])]
    assert [each.model_dump()["backbone"] for each in variants] == [
        "hf-hub:lab/hearts",
        f"local-dir:{tmp_path}/a net-1.0@x",
        "resnet18",
    ]
    done = kfold_hs("config", "model.backbone=hf-hub:lab/hearts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"digest: {COMMIT}" in done.stdout.replace("'", "")


def test_a_run_is_named_by_the_weights_and_not_by_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    save(tmp_path / "other", seed=6)

    def digest(folder: str) -> str:
        place = f"model.backbone=local-dir:{tmp_path / folder}"
        return compose([*TINY, "data.path=t.csv", place]).digest

    assert digest("one") == digest("two") != digest("other")
    plain = compose([*TINY, "data.path=t.csv"])
    assert "source" not in decisive(plain)["model"]  # what ran before keeps its name
    changed = of_folder(tmp_path / "one")
    save(tmp_path / "one", seed=7)
    with pytest.raises(WeightsError, match=r"has changed since these settings were made"):
        make_model(changed, TASKS, seed=0)


def test_a_repository_in_the_cache_needs_no_network_and_is_pinned(hub: Path) -> None:
    found = config(backbone="hf-hub:lab/hearts", weights="source")
    assert found.source is not None
    assert found.source.digest == COMMIT
    source = timm.create_model(NAME, pretrained=False, num_classes=0).eval()
    from safetensors.torch import load_file

    weights = load_file(hub / "snapshots" / COMMIT / "model.safetensors")
    source.load_state_dict(weights, strict=False)
    (hub / "refs" / "main").write_text("f" * 40)  # main has moved on
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        model = make_model(found, TASKS, seed=0).eval()
        expected = source(grey.expand(1, 3, 64, 64))
        torch.testing.assert_close(model.backbone(grey), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("hf-hub:lab/lungs", WeightsError, r"hf-hub:lab/lungs is not in the hub's cache and the "
         r"hub \(hub\.invalid\) cannot be reached.*local-dir:FOLDER"),
        ("hf-hub:lab/hearts@v9", WeightsError, "cannot be reached"),
        ("hf-hub:a/b/c", ConfigError, "names no repository: write hf-hub:OWNER/NAME"),
        ("local-dir:nowhere", ConfigError, "there is no folder nowhere"),
        ("local-dir:{}/empty", ConfigError, "has no config.json"),
        ("local-dir:{}/words", ConfigError, "is not in timm's form"),
        ("local-dir:{}/bare", ConfigError, "has no file of weights"),
        ("local-dir:{}/two", ConfigError, r"several files of weights \(a\.pth, b\.pth\)"),
        ("local-dir:{}/odd", ConfigError, "timm has no model.backbone 'resnet_of_hearts', which"),
        ("local-dir:{}/mixed", WeightsError, r"weights are of another architecture: \d+ of \d+"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_place_is_told(
    tmp_path: Path, hub: Path, name: str, kind: type[KfoldHsError], text: str
) -> None:
    known = json.dumps({"architecture": NAME})
    for folder, content in {"empty": None, "words": "[1]", "bare": known, "two": known}.items():
        (tmp_path / folder).mkdir()
        if content:
            (tmp_path / folder / "config.json").write_text(content)
    for file in ("words/model.safetensors", "two/a.pth", "two/b.pth"):
        (tmp_path / file).write_bytes(b"x")
    for folder, architecture in (("odd", "resnet_of_hearts"), ("mixed", NAME)):
        save(tmp_path / folder, name="test_vit")
        (tmp_path / folder / "config.json").write_text(json.dumps({"architecture": architecture}))
    with pytest.raises(kind, match=text):
        make_model(config(backbone=name.format(tmp_path), weights="source"), TASKS, seed=0)


def test_weights_of_two_places_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "net")
    with pytest.raises(ConfigError, match=r"brings its weights along, and model\.weights=hub"):
        composed(tmp_path / "net", "model.weights=hub")
    with pytest.raises(ConfigError, match=r"model\.backbone=resnet18 names none"):
        compose([*TINY, "data.path=t.csv", "model.backbone=resnet18", "model.weights=source"])


def test_what_is_trained_needs_the_folder_no_longer(tmp_path: Path, shared_table_csv: Path) -> None:
    save(tmp_path / "net")
    words = [*TINY, "train.epochs=1", f"data.path={shared_table_csv}"]
    settings = compose([*words, f"model.backbone=local-dir:{tmp_path}/net"])
    options = RunOptions(root=tmp_path, name="one", device="cpu")
    cross_validation.run(settings, Silent(), options)
    shutil.rmtree(tmp_path / "net")
    folder = tmp_path / "reports" / "one"
    again = load_yaml(folder / "config.yaml")
    assert again.digest == settings.digest
    cross_validation.run(again, Silent(), options)  # judged anew
    bundles.export(folder, tmp_path / "bundle", Silent())
    bundle = Bundle.read(tmp_path / "bundle")
    assert str(tmp_path) not in (tmp_path / "bundle" / "bundle.json").read_text()
    bundle.model(bundle.members[0], torch.device("cpu"))
