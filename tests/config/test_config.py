"""Composition, sweeps, and errors that name the key, the value and the way out."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kfold_hs.config.compose import (
    TABLES,
    compose,
    config_folder,
    expand,
    groups,
    load_yaml,
)
from kfold_hs.config.keys import with_defaults
from kfold_hs.config.schema import Margins
from kfold_hs.errors import LONGEST_MESSAGE, ConfigError


def test_defaults() -> None:
    config = compose()
    assert config.data.kind == "synthetic"
    assert config.select == "last"
    assert (config.headline, config.target) == ("murmur.auroc", 0.7)
    assert config.split.n_folds == 5


def test_lite_recipe_is_as_documented() -> None:
    config = compose(["data=circor", "data.root=x", "recipe=lite"])
    assert (config.model.backbone, config.model.weights) == ("tf_efficientnet_lite0", "package")
    assert (config.features.n_mels, config.features.f_min_hz, config.features.f_max_hz) == (
        64,
        20,
        1000,
    )
    assert (config.features.window_s, config.features.hop_s) == (0.05, 0.02)
    assert (config.train.epochs, config.train.batch_size, config.train.crop_frames) == (15, 32, 256)
    assert (config.optim.lr, config.sched.kind) == (1e-3, "onecycle")
    assert config.data.tasks["murmur"].class_weights == (3, 2, 1)


def test_baseline_recipe_is_the_one_that_was_asked_for() -> None:
    config = compose(["recipe=baseline"])
    assert (config.model.backbone, config.model.weights) == ("efficientnet_b0", "hub")
    assert (config.train.epochs, config.train.batch_size, config.optim.lr) == (50, 32, 1e-3)
    assert config.sched.kind == "cosine"


def test_a_choice_on_the_command_line_stands_before_the_recipe() -> None:
    config = compose(["recipe=lite", "sched=cosine", "model=tiny"])
    assert config.sched.kind == "cosine"
    assert config.model.backbone == "test_efficientnet"


@pytest.mark.parametrize("group", sorted(groups()))
def test_every_choice_of_every_group_composes(group: str) -> None:
    root = ["data.root=x"]
    needed = {"bmdhs": root, "circor": root, "cinc2016": root, "zchsound": root,
              "table": ["data.path=x.csv"],
              "timm": ["model.backbone=resnet18"],
              "waveform": ["augment=none", "train.crop_frames=6000"]}  # fmt: skip
    for name in groups()[group]:
        config = compose([f"{group}={name}", *needed.get(name, [])])
        assert config.recipe
        path = config_folder() / group / f"{name}.yaml"
        assert path.is_file() or name in TABLES[group]
        if path.is_file():
            assert path.read_text().startswith("# "), f"{path} opens with the command that runs it"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["sched=cosin"], ["sched=", "'cosin'", "cosine, linear", "Did you mean 'cosine'?"]),
        (["optim.lrr=1"], ["optim.lrr", "Did you mean 'optim.lr'?"]),
        (["traning.epochs=3"], ["traning.epochs", "Did you mean 'train.epochs'?"]),
        (["optim.lr=fast"], ["optim.lr='fast'", "valid number"]),
        (["train.epochs=0"], ["train.epochs=0", "greater than or equal to 1"]),
        (["select=lst"], ["select='lst'", "'last', 'inner' or 'best'", "Did you mean 'last'?"]),
        (["sched.pct_start=2"], ["sched.pct_start=2", "less than 1"]),
        (["data=circor"], ["data.root must be given"]),
        (["features.f_max_hz=3000"], ["features.f_max_hz=3000", "2000 Hz"]),
        (["features.n_fft=100"], ["features.n_fft=100", "200 samples"]),
        (["model.weights=file"], ["model.weights_file"]),
        (["+foo=1"], ["unknown key 'foo'"]),
        (["optim.lr"], ["cannot read 'optim.lr'", "key=value"]),
        (["my study.yml"], ["looks like a file, and no setting: write -c 'my study.yml'."]),
        (["reports/nowhere"], ["'reports/nowhere' does not exist (from "]),
        (["sched=onecycle,cosine"], ["several variants"]),
        (["optim.lr=nan"], ["optim.lr=nan"]),
        (["judge.bca=20"], ["judge.bca=20", "at least 1000"]),
        (["judge.margins.auroc=-0.1"], ["judge.margins.auroc=-0.1", "greater than or equal to 0"]),
        (["judge.margins.auruc=0.1"], ["judge.margins.auruc", "'judge.margins.auroc'"]),
        (["data.tasks.outcome.classes=[' ',Normal]"], ["the name '' of task 'outcome'"]),
        (
            ["data.tasks={a: {classes: [b.c, d]}, a.b: {classes: [c, d]}}"],
            ["class 'c' of task 'a.b' and class 'b.c' of task 'a'", "p.a.b.c: rename one"],
        ),
    ],
)
def test_errors_name_key_value_bound_and_nearest(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["optim.lr=-1", "train.epochs=0", "split.n_folds=1"])
    for key in ("optim.lr=-1", "train.epochs=0", "split.n_folds=1"):
        assert key in str(caught.value)


def test_sweeps_expand_to_variants() -> None:
    variants = expand(["sched=onecycle,cosine", "seed=1", "loss.label_smoothing=0,0.1"])
    assert variants == [
        ["sched=onecycle", "seed=1", "loss.label_smoothing=0"],
        ["sched=onecycle", "seed=1", "loss.label_smoothing=0.1"],
        ["sched=cosine", "seed=1", "loss.label_smoothing=0"],
        ["sched=cosine", "seed=1", "loss.label_smoothing=0.1"],
    ]
    assert [compose(variant).sched.kind for variant in variants] == [
        "onecycle",
        "onecycle",
        "cosine",
        "cosine",
    ]


def test_tasks_given_as_a_dict_take_the_place_of_the_default_ones() -> None:
    overrides = ["data=table", "data.path=x.csv", "data.tasks={rhythm: {classes: [af, sinus]}}"]
    assert list(compose(overrides).data.tasks) == ["rhythm"]


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = compose(["data=circor", "data.root=/somewhere", "sched=cosine"])
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_yaml(tmp_path / "config.yaml") == config
    assert OmegaConf.create(config.to_yaml()).sched.kind == "cosine"


def test_digest_is_of_what_decides_the_predictions() -> None:
    one = compose(["data=circor", "data.root=/a"])
    assert one.digest == compose(["data=circor", "data.root=/b", "target=0.9"]).digest
    assert one.digest == compose(["data=circor", "data.root=/a", "judge.margins.cost=9"]).digest
    assert one.digest != compose(["data=circor", "data.root=/a", "optim.lr=2e-3"]).digest


QUICK_ONCE = (  # what recipe=quick was
    "features.hop_s=0.02 features.n_mels=64 train.crop_frames=256 train.epochs=24 "
    "train.threads=null"
)
DIGESTS = {
    QUICK_ONCE: "f21657216596b225",
    "recipe=baseline sched=plateau loss=focal": "6f12132c1b3124e4",
    "data=circor data.root=/a recipe=lite features=pcen augment=none": "16462f593b97d37d",
}


@pytest.mark.parametrize("words", DIGESTS)
def test_digests_are_those_of_runs_made_before(words: str) -> None:
    assert compose(words.split()).digest.startswith(DIGESTS[words])


@pytest.mark.parametrize("group", sorted(set(groups()) - {"recipe"}))
def test_files_name_what_differs_from_the_defaults(group: str) -> None:
    for path in (config_folder() / group).glob("*.yaml"):
        given = OmegaConf.to_container(OmegaConf.load(path)) or {}
        assert isinstance(given, dict)
        given.pop("defaults", None)
        given = given.get(group, given)  # the built-in cohort's file says more than its group
        kind = {"kind": given.pop("kind")} if "kind" in given else {}
        declared = with_defaults({group: kind})[group]
        assert not {key for key, value in given.items() if declared[key] == value}


FORMER = {  # settings once and today, digests of what was trained by the former keys
    "ema_decay: 0.9": "average=ema average_decay=0.9",
    "swa_start: 0.5": "average=swa average_start=0.5",
    "swa_start: 0.5, swa_update_bn: true": "average=swa average_start=0.5 average_update_bn=true",
    "compile: true": "backend=compile",
    "cuda_graphs: true, ema_decay: 0.99": "backend=cuda_graphs average=ema",
}
FORMER_DIGESTS = {
    "ema_decay: 0.9": "72627256a62b0b97",
    "swa_start: 0.5": "c384b6f1e25dae12",
    "swa_start: 0.5, swa_update_bn: true": "91a2a787ee2c6c1b",
    "compile: true": "7ec06a0ebc6e2bfa",
    "cuda_graphs: true, ema_decay: 0.99": "165414d6bcc94cce",
}


@pytest.mark.parametrize("once", FORMER)
def test_files_with_former_keys_are_read_and_keep_their_digests(once: str, tmp_path: Path) -> None:
    words = [f"train.{word}" for word in FORMER[once].split()]
    today = compose([*QUICK_ONCE.split(), *words])
    off = {"ema_decay": 0.0, "swa_start": 1.0, "swa_update_bn": False, "compile": False,
           "cuda_graphs": False}  # fmt: skip
    values = today.as_dict()
    values["train"] = {k: v for k, v in values["train"].items() if not k.startswith(("av", "back"))}
    values["train"] |= off | OmegaConf.to_container(OmegaConf.create(f"{{{once}}}"))  # type: ignore[operator]
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(values)))
    assert load_yaml(tmp_path / "config.yaml") == today
    assert today.digest.startswith(FORMER_DIGESTS[once])


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("train.ema_decay=0.9", "write train.average=ema train.average_decay=0.9."),
        ("train.ema_decay=0", "write train.average=none."),
        ("++train.swa_start=0.5", "write train.average=swa train.average_start=0.5."),
        ("train.swa_update_bn=true", "write train.average=swa train.average_update_bn=true."),
        ("train.compile=true", "write train.backend=compile."),
        ("train.cuda_graphs=false", "write train.backend=eager."),
    ],
)
def test_a_former_key_is_refused_with_what_to_write_today(word: str, advice: str) -> None:
    with pytest.raises(
        ConfigError, match=f"{word.lstrip('+').split('=')[0]} has another name"
    ) as caught:
        compose([word])
    assert advice in str(caught.value)


def test_averages_that_exclude_each_other_cannot_be_named() -> None:
    with pytest.raises(ConfigError, match=r"train\.average_decay=0\.9 is read with .*=ema only"):
        compose(["train.average=swa", "train.average_decay=0.9"])


def test_the_margins_that_are_printed_are_the_ones_in_use() -> None:
    assert compose().judge.margins == Margins()
    changed = compose(["judge.margins.auroc=0.02"]).judge.margins
    assert changed.model_dump() == {**Margins().model_dump(), "auroc": 0.02}


def test_settings_cannot_be_changed() -> None:
    config = compose()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


ODD = [
    "(1)",
    "x,y",
    "a=b",
    "c d",
    "e'f",
    'g"h',
    "#i",
    "[j",
    "{k}",
    "l&m",
    "~n",
    "Größe",
    "心",
    "o\\",
]


@pytest.mark.parametrize("name", [*ODD, "/".join(ODD), "'p'q'", "\x1b[31m", "1", "1e3", "true"])
def test_a_path_is_taken_as_it_stands(name: str) -> None:
    for text in (name, f"/a/{name}", f"{name}/b"):
        assert compose(["data=circor", f"data.root={text}"]).data.root == Path(text)  # type: ignore[union-attr]
        words = expand(["data=circor", f"data.root={text}", "seed=0,1"])
        assert [compose(each).data.root for each in words] == [Path(text)] * 2  # type: ignore[union-attr]


def test_a_path_in_quotes_null_and_a_choice_are_what_the_grammar_says() -> None:
    assert compose(["split.file='/a b'"]).split.file == Path("/a b")
    assert compose(["split.file=null"]).split.file is None
    assert compose(["split.file=~/a"]).split.file == Path("~/a").expanduser()
    assert len(expand(["model.weights_file=choice('/a,b',/c)"])) == 2


@pytest.mark.parametrize("value", ["Größe", "Height (cm)", "a#b", "e'f", 'g"h (i)', "[x", "o# \\"])
def test_the_quoting_that_is_advised_works(value: str) -> None:
    base = ["data=table", "data.path=x.csv"]
    with pytest.raises(ConfigError) as caught:
        compose([*base, f"data.person_column={value}"])
    (advised,) = shlex.split(str(caught.value).rpartition(" Write ")[2].removesuffix("."))
    assert compose([*base, advised]).data.person_column == value  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("seed=" + "9" * 5000, "thousands of digits"),
        ("optim.lr=" + "9" * 4000, "optim.lr=999"),
        ("seed=" + "[" * 3000 + "]" * 3000, "nested 3000 deep"),
        ("seed=${seed}", "'seed=${seed}'"),
        ("seed=${oc.env:NOPE}", "NOPE"),
        ("seed=" + "${seed}" * 21, "at most 20"),
        ("seed=range(0,1e9)", "1000000000 values"),
        ("seed=range(0,1,0)", "without end"),
        ("seed=shuffle(range(0,1000000))", "shuffle"),
        ("optim.lr=interval(0,1)", "write the values out"),
        ("sched=glob(*)", "write the values out"),
        ("seed=" + ",".join(map(str, range(300))), "300 values"),
        ("seed=\0", r"'seed=\x00'"),
        ("data.root=\udcff", "no text"),
        ("seed=\x1b[31m", r"'seed=\x1b[31m'"),
        ("~sched", "sched=NAME"),
        ("~model.backbone", "model.backbone must be given"),
        ("~augment.noise_snr_db=" + ",".join("a" * 90), "takes a key away"),
        ("sched@foo=cosine", "sched=NAME"),
        ("+hydra.foo=1", "unknown key 'hydra.foo'"),
        ("x" * 9000 + "=1", "unknown key 'xxx"),
        ("sched=" + "x" * 9000, "there is constant, cosine"),
        ("data.root=", "names no path"),
        ("=", "unknown key"),
        ("", "key=value"),
        ("n_seeds=true", "takes a number"),
        ("split.n_folds=1000000000", "less than or equal to 1000"),
        ("train.epochs=1e12", "less than or equal to 10000"),
        ("features.n_mels=300", "257 frequencies"),
        ("split.n_repeats=1000 n_seeds=1000", "cannot read"),
        ("optim.weight_decay=1e308", "less than or equal to 100"),
        ("data.tasks={" + ",".join(f"t{i}: 1" for i in range(900)) + "}", "And 892 more"),
    ],
)
def test_odd_words_are_refused_at_once_and_briefly(word: str, part: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        compose(expand([word])[0])
    text = str(caught.value)
    assert part in text
    assert len(text) <= LONGEST_MESSAGE
    assert text.isprintable()
    assert time.process_time() - started < 20  # not seen but where work grows without bound


def test_a_batch_that_no_memory_holds_is_refused_with_the_largest_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size=32768"):
        compose(["features=logmel", "train.crop_frames=256", "train.batch_size=65536"])


def test_too_many_variants_are_refused_before_they_are_made() -> None:
    with pytest.raises(ConfigError, match="make 1000000 variants, and at most 100"):
        expand([f"{key}=range(0,100)" for key in ("seed", "n_seeds", "train.epochs")])
    with pytest.raises(ConfigError, match="10000000 fold models; at most 10000"):
        compose(["split.n_folds=1000", "split.n_repeats=1000", "n_seeds=10"])


def test_a_setting_that_the_files_leave_out_needs_no_plus() -> None:
    config = compose(["data.tasks.murmur.column=heard"])
    assert config.data.tasks["murmur"].column == "heard"
    with pytest.raises(ConfigError, match=r"Did you mean 'data\.tasks\.murmur"):
        compose(["data.tasks.murmr.column=heard"])
