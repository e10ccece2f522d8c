"""Study files: settings in YAML mean what the same words of a command line mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.project import kfold_hs

from kfold_hs.config.compose import compose
from kfold_hs.config.study import layered, words_of_study
from kfold_hs.errors import ConfigError

TASKS = "data.tasks={rhythm: {classes: [af, '0'], positive: af}}"


def written(folder: Path, text: str | bytes, name: str = "study.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["recipe=best", "data=circor", "data.root=/x", "loss=focal", "loss.gamma=3"],
        ["data=table", "data.path=/my.csv", TASKS, "features=pcen", "sched=plateau"],
        ["data=table", "data.path=/a b.csv", "split.file=column:fold", "split.n_folds=3"],
        ["data=zchsound", "data.root=/q", "split.hold_out=source", "train.crop_frames=6000",
         "features=waveform", "augment=none", "data.map.abnormal={task: outcome}"],
        ["model=timm", "model.weights=file", "model.weights_file=/w.pt", "model.backbone=resnet18"],
    ],
)  # fmt: skip
def test_what_config_prints_can_be_given_back(words: list[str], tmp_path: Path) -> None:
    config = compose(words)
    path = written(tmp_path, config.to_yaml())
    assert compose(layered([path], [])) == config


def test_both_forms_mean_the_same(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "data:\n  kind: table\n  path: my.csv\n  tasks:\n    AS: {classes: [yes, no, 007]}\n"
        "  aliases: ../a.csv\n  person_column: Height (cm)\n"
        "recipe: lite\noptim.lr: 1e-4\ntrain:\n  # epochs: 3\nsplit:\n  audit: no\n"
        "model: {kind: tiny, dropout: .5}\nframes: none\n",
    )
    found = compose(layered([path], ["train.epochs=4"]))
    assert found.data.path == tmp_path / "my.csv"
    assert found.data.aliases == tmp_path / "../a.csv"
    assert found.data.tasks["AS"].classes == ("yes", "no", "007")
    assert found.data.person_column == "Height (cm)"
    assert (found.optim.lr, found.train.epochs, found.model.dropout) == (1e-4, 4, 0.5)
    assert found.split.audit is False


def test_paths_are_relative_to_the_file_and_no_digest_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    path = written(tmp_path / "sub", "data: {kind: table, path: my.csv}\n")
    far = compose(layered([path], []))
    monkeypatch.chdir(tmp_path / "sub")
    near = compose(layered([Path("study.yaml")], []))
    typed = compose(["data=table", "data.path=my.csv"])
    assert (far.data.path, near.data.path) == (tmp_path / "sub" / "my.csv", Path("my.csv"))
    assert near == typed
    assert far.digest == near.digest == typed.digest


def test_a_link_to_a_file_has_its_paths_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    link = tmp_path / "sub" / "link.yaml"
    link.symlink_to(written(tmp_path, "data: {kind: table, path: my.csv}\n"))
    assert compose(layered([link], [])).data.path == tmp_path / "sub" / "my.csv"


def test_later_files_and_words_win(tmp_path: Path) -> None:
    first = written(tmp_path, "loss: {kind: focal, gamma: 3}\nseed: 1\ntrain.epochs: 5\n")
    second = written(tmp_path, "seed: 2\nloss: focal\n", "b.yaml")
    config = compose(layered([first, second], ["seed=3"]))
    assert (config.seed, config.loss.kind, config.loss.gamma) == (3, "focal", 3)
    assert config.train.epochs == 5
    assert compose(layered([second, first], [])).seed == 1
    other = compose(layered([first], ["loss=cross_entropy"]))  # gamma goes with what it belongs to
    assert other.loss.kind == "cross_entropy"


def test_a_recipe_that_is_typed_wins_over_a_file_with_every_setting(tmp_path: Path) -> None:
    path = written(tmp_path, compose(["seed=7"]).to_yaml())
    config = compose(layered([path], ["recipe=lite"]))
    assert config == compose(["recipe=lite", "seed=7"])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("optim:\n  lrr: 1\n", 2, "Did you mean 'optim.lr'?"),
        ("\n\nmodell: tiny\n", 3, "unknown key 'modell'"),
        ("seed: 1\nseed: 2\n", 2, "seed is there twice, first in line 1"),
        ("optim.lr: 1\noptim:\n  lr: 2\n", 3, "optim.lr is there twice"),
        ("- a\n- b\n", 1, "a list is no setting"),
        ("hello\n", 1, "'hello' is no setting"),
        ("", 1, "it is empty"),
        ("optim:\n\tlr: 1\n", 2, "begins with a tab"),
        ("optim: {lr: 1\n", 2, "no YAML"),
        ("seed: 1\n---\nseed: 2\n", 3, "a second configuration begins here"),
        ("a: &x 1\nseed: *x\n", 2, "is an alias"),
        ("seed: !!python/name:os.system 1\n", 1, "has no meaning here"),
        (b"seed: 1\n# caf\xe9\n", 2, "Save the file as UTF-8"),
    ],
)
def test_a_fault_names_file_line_and_way_out(
    text: str | bytes, line: int, said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        compose(layered([path], []))
    assert f"{path}, line {line}" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("seed: 1\noptim:\n  lr: -1\n", 3, "optim.lr=-1"),
        ("model: tinyy\n", 1, "Did you mean 'tiny'?"),
        ("seed: 1\nheadline:\n", 2, "headline=None does not fit: input should be a valid string"),
        ("seed: 0\ntrain:\n  patience: 3\n", 3, "train.patience=3"),
        ("data:\n  kind: table\n  path: x\n  tasks: {a: {classes: [b]}}\n", 4, "data.tasks.a"),
    ],
)
def test_a_wrong_value_names_its_line(text: str, line: int, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        compose(layered([path], []))
    assert said in str(caught.value)
    assert f"{path}, line {line} (" in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.yaml"):
        with pytest.raises(ConfigError, match="study file"):
            words_of_study(path)
    large = written(tmp_path, "# " + "x" * 70_000)
    with pytest.raises(ConfigError, match="Is it a table"):
        words_of_study(large)
    marked = written(tmp_path, b"\xef\xbb\xbfseed: 5\n")
    assert words_of_study(marked) == ["seed=5"]


def test_a_plugin_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "beside_study.py").write_text(
        'import kfold_hs\n\n@kfold_hs.register.schedule("flat_study")\n'
        "def flat(n_steps: int):\n    return lambda step, losses: 1.0\n"
    )
    path = written(tmp_path, "sched: flat_study\nplugins: [beside_study]\n")
    config = compose(layered([path], []))
    assert config.sched.kind == "flat_study"
    assert list(config.plugins) == ["beside_study"]
    again = written(tmp_path, config.to_yaml(), "again.yaml")
    assert compose(layered([again], [])) == config


def test_the_commands_take_them(tmp_path: Path) -> None:
    written(tmp_path, "data: {kind: table, path: my.csv}\nseed: 4\n")
    done = kfold_hs("config", "-c", "study.yaml", "seed=5", "--folds", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seed: 5" in done.stdout
    assert "n_folds: 3" in done.stdout
    for words in (["run"], ["split"], ["audit"], ["lr-find"], ["tune"], ["compare", "seed=1"]):
        done = kfold_hs(*words, "-c", "nowhere.yaml", cwd=tmp_path)
        assert done.returncode == 2
        assert "there is no study file nowhere.yaml" in done.stderr
    done = kfold_hs("compare", "-c", "study.yaml", "sched=cosine", "sched=cosine", cwd=tmp_path)
    assert "sched=cosine is given twice" in done.stderr
    done = kfold_hs("split", "-c", "study.yaml", cwd=tmp_path)
    assert "cannot read my.csv" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"seed: {'9' * 400}", r"seed=9999\d+\.\.\. does not fit: .*4294967295"),
        (f"seed: {'9' * 5000}", r"seed='9999\d+\.\.\. does not fit: unable to parse"),
        ("optim: {lr: 1e999}", r"optim\.lr='1e999' does not fit"),
        ("optim: {lr: .inf}", r"optim\.lr=inf does not fit"),
    ],
)
def test_a_number_that_is_too_large_is_shown_as_it_was_written(
    tmp_path: Path, line: str, said: str
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(line)
    with pytest.raises(ConfigError, match=said) as caught:
        compose(layered([study], []))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "words",
    [["run", "--folds"], ["run", "--device"], ["run", "-c"], ["report"], ["plan", "--people"]],
)
def test_a_word_of_thousands_of_signs_is_not_repeated_whole(
    tmp_path: Path, words: list[str]
) -> None:
    done = kfold_hs(*words, "9" * 5000, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert 20 < len(done.stderr) < 400
