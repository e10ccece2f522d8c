"""Words of a command line become variants: repeated keys, sweeps, crossing, bundles."""

from __future__ import annotations

import time

import pytest

from kfold_hs.config.sweep import _parts, check_same_inputs, design, layout_of
from kfold_hs.errors import ConfigError


def test_a_key_that_is_repeated_makes_variants() -> None:
    found = design(["sched=onecycle", "train.epochs=3", "sched=cosine"], ["split.n_folds=3"])
    assert found.factors == ("sched",)
    assert [each.name for each in found.variants] == ["sched=onecycle", "sched=cosine"]
    assert [each.config.sched.kind for each in found.variants] == ["onecycle", "cosine"]
    assert {each.config.train.epochs for each in found.variants} == {3}
    assert {each.config.split.n_folds for each in found.variants} == {3}


def test_sweeps_cross_and_add_to_repeated_keys() -> None:
    words = ["optim.lr=1e-3,1e-4", "loss.label_smoothing=0", "loss.label_smoothing=0.1"]
    found = design(words)
    assert found.factors == ("optim.lr", "loss.label_smoothing")
    assert [each.levels for each in found.variants] == [
        ("optim.lr=0.001", "loss.label_smoothing=0"),
        ("optim.lr=0.001", "loss.label_smoothing=0.1"),
        ("optim.lr=0.0001", "loss.label_smoothing=0"),
        ("optim.lr=0.0001", "loss.label_smoothing=0.1"),
    ]
    assert found.variants[3].config.optim.lr == 1e-4


def test_overrides_of_one_word_belong_together() -> None:
    found = design(["loss=focal loss.gamma=3", "loss=cross_entropy"])
    names = [each.name for each in found.variants]
    assert names == ["loss=focal loss.gamma=3", "loss=cross_entropy"]
    assert found.variants[0].config.loss.gamma == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("a=1 b.c=2  +d=x", ["a=1", "b.c=2", "+d=x"]),
        ("a={x: 1, y: {z: [1, 2]}} b=2", ["a={x: 1, y: {z: [1, 2]}}", "b=2"]),
        ("a='x b=2' c=3", ["a='x b=2'", "c=3"]),
        ("a=x y", ["a=x y"]),
        (
            "data.root=/a (b c=d e.f=g seed=1 target='x",
            ["data.root=/a (b c=d e.f=g", "seed=1", "target='x"],
        ),
    ],
)
def test_a_word_is_cut_between_overrides_only(word: str, parts: list[str]) -> None:
    assert _parts(word) == parts


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["sched=cosine"], "takes two variants or more"),
        (["sched=cosine", "sched=cosine"], "sched=cosine is given twice"),
        (["sched=cosine", "sched=cosin"], r"Did you mean 'cosine'"),
        (
            ["split.n_folds=3,5"],
            r"differ in split\.n_folds \(3 there, 5 here\).*kfold-hs learning-curve",
        ),
        (["split.n_repeats=1,3"], r"each as often.*split\.by, split\.stratify"),
        (["data.n_patients=100,200"], r"differ in data\.n_patients"),
        (["target=0.5,0.6"], r"are one configuration"),
        (["optim.lr=1e-3", "optim.lr=0.001"], r"are one configuration"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_runs(words: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        design(words)


def test_tasks_may_differ_in_what_training_makes_of_them() -> None:
    found = design(["data.tasks.murmur.patient_pool=mean", "data.tasks.murmur.patient_pool=max"])
    assert len(found.variants) == 2
    assert len(design(["seed=0,1", "split.file=split.json"]).variants) == 2


def test_variants_may_be_on_other_folds_of_as_many() -> None:
    for words in (["split.by=person,patient"], ["split.stratify=auto,[age]"], ["seed=0,1"]):
        found = [layout_of(each.config) for each in design(words).variants]
        assert found[0] != found[1]
    files = design(["split.file=a.json", "split.file=b.json"]).variants
    assert "seed" not in layout_of(files[0].config)
    same = design(["sched=onecycle,cosine"]).variants
    assert layout_of(same[0].config) == layout_of(same[1].config)
    with pytest.raises(ConfigError, match="one can be set against another fold by fold"):
        check_same_inputs(design(["split.by=person,patient"]).variants)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["split.n_folds=3,5"], "kfold-hs learning-curve says what people are worth"),
        (
            ["split.hold_out=null,campaign"],
            "Folds that are sources leave out whoever is of several",
        ),
        (["split.test=0,0.2"], "score the same people"),
    ],
)
def test_folds_that_would_answer_another_question_are_refused(words: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        design(words)


def test_many_levels_of_one_word_are_cut_and_refused_quickly() -> None:
    started = time.process_time()
    assert len(_parts("a=1" + " b=2" * 2400)) == 2401
    assert len(_parts("a='1" + " b=2" * 2400)) == 1
    with pytest.raises(ConfigError, match=r"make 10000 variants, and at most 100"):
        design(["seed=range(0,100)", "train.epochs=range(0,100)"])
    assert time.process_time() - started < 20  # not seen but where work grows without bound
