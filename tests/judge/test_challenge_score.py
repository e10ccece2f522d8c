"""`kfold-hs score`: files as the official reader takes them, scores against scikit-learn."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score

from kfold_hs.cli.main import cli
from kfold_hs.errors import CohortError, PredictionsError
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME
from kfold_hs.judge.results.challenge2022 import as_text, score_folders

CLASSES = {"murmur": MURMUR, "outcome": OUTCOME}
ALL = (*MURMUR, *OUTCOME)


def write(
    folder: Path,
    labels: Sequence[tuple[str, str]],
    outputs: Sequence[tuple[Sequence[str], Sequence[str], Sequence[str]]],
) -> tuple[Path, Path]:
    """Folders of labels (murmur, outcome) and of outputs (classes, labels, probabilities)."""
    truth, found = folder / "labels", folder / "outputs"
    for each in (truth, found):
        each.mkdir(parents=True, exist_ok=True)
        for old in each.iterdir():
            old.unlink()
    for i, (murmur, outcome) in enumerate(labels):
        lines = [f"{i} 1 4000", f"AV {i}_AV.hea {i}_AV.wav {i}_AV.tsv", "#Age: Child"]
        lines += [f"#Murmur: {murmur}", "#Murmur locations: nan", f"#Outcome: {outcome}"]
        (truth / f"{i}.txt").write_text("\n".join(lines) + "\n")
    for i, rows in enumerate(outputs):
        (found / f"{i}.csv").write_text(f"#{i}\n" + "\n".join(map(",".join, rows)) + "\n")
    return truth, found


# --- the reference: scikit-learn, and the cost patient by patient -------------------------------


def expected(
    y_true: dict[str, np.ndarray], y_called: dict[str, np.ndarray], y_prob: dict[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    found = {}
    for task, classes in CLASSES.items():
        true, called = y_true[task], y_called[task]
        each: dict[str, list[float]] = {"auroc": [], "auprc": [], "f_measure": [], "accuracy": []}
        table = confusion_matrix(true, called, labels=range(len(classes)))
        for c in range(len(classes)):
            # Scores are only ranked, and scikit-learn takes no infinite ones.
            own, score = true == c, np.unique(y_prob[task][:, c], return_inverse=True)[1]
            both = 0 < own.sum() < len(own)
            each["auroc"].append(roc_auc_score(own, score) if both else np.nan)
            each["auprc"].append(average_precision_score(own, score) if own.any() else np.nan)
            f1 = f1_score(own, called == c, zero_division=np.nan)
            each["f_measure"].append(f1)
            each["accuracy"].append(table[c, c] / table[c].sum() if table[c].sum() else np.nan)
        weight = np.array([5, 3, 1] if task == "murmur" else [5, 1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores: dict[str, Any] = {name: np.nanmean(values) for name, values in each.items()}
        scores["accuracy"] = np.mean(true == called)
        scores["weighted_accuracy"] = (weight * np.diag(table)).sum() / weight[true].sum()
        scores["cost"] = cost_of_each(called < len(classes) - 1, y_true["outcome"] == 0)
        scores |= {f"{name}_classes": values for name, values in each.items()}
        found[task] = scores
    return found


def cost_of_each(referred: np.ndarray, abnormal: np.ndarray) -> float:
    n, x = len(referred), referred.mean()
    bill = 0.0
    for refer, ill in zip(referred, abnormal, strict=True):
        bill += 10
        if ill:
            bill += 10000 if refer else 50000
    return float(bill / n + 25 + 397 * x - 1718 * x**2 + 11296 * x**4)


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert list(found) == ["murmur", "outcome"]
    for task in found:
        assert set(found[task]) == set(wanted[task])
        for name, value in wanted[task].items():
            mine = np.array(found[task][name], dtype=float)
            np.testing.assert_allclose(mine, value, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_scikit_learn(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 80))
    y_true = {task: rng.integers(0, len(c), n) for task, c in CLASSES.items()}
    y_called = {task: rng.integers(0, len(c), n) for task, c in CLASSES.items()}
    # Few digits, so that there are ties.
    y_prob = {task: rng.random((n, len(c))).round(seed % 3 + 1) for task, c in CLASSES.items()}
    labels = [(MURMUR[m], OUTCOME[o]) for m, o in zip(*y_true.values(), strict=True)]
    outputs = []
    for i in range(n):
        order = rng.permutation(5)
        called = [*np.eye(3, dtype=int)[y_called["murmur"][i]]]
        called += [*np.eye(2, dtype=int)[y_called["outcome"][i]]]
        prob = [*y_prob["murmur"][i], *y_prob["outcome"][i]]
        outputs.append(
            (
                [ALL[k] for k in order],
                [str(called[k]) for k in order],
                [repr(float(prob[k])) for k in order],
            )
        )
    found = score_folders(*write(tmp_path, labels, outputs))
    assert_same(found, expected(y_true, y_called, y_prob))


# --- odd inputs: what each text means, written down by hand -------------------------------------

TRUTHS = {"1": 1, "1.0": 1, "1e0": 1, "True": 1, "true": 1, "T": 1, "t": 1, " 1 ": 1, '"1"': 1}
TRUTHS |= {"'true'": 1, "0": 0, "TRUE": 0, "yes": 0, "2": 0, "": 0, "nan": 0, "inf": 0, "-1": 0}
TRUTHS |= {"0.999": 0, "false": 0, "tRue": 0}
NUMBERS = {"0.5": 0.5, " .25": 0.25, "1e-3": 0.001, "7": 7, "-2": -2, '"0.75"': 0.75, "nan": 0}
NUMBERS |= {"inf": np.inf, "-inf": -np.inf, "1e999": np.inf, "'-Infinity'": -np.inf}
NUMBERS |= {"x": 0, "": 0, "'0.1'": 0.1, "None": 0, "-nan": 0, "1e300": 1e300}
MURMURS = {"Present": 0, "present": 0, " UNKNOWN": 1, "Absent": 2, "nan": 0, "": 0}
OUTCOMES = {"Abnormal": 0, "NORMAL ": 1, "normal": 1, "?": 0}


@st.composite
def entries(draw: st.DrawFn) -> tuple[Any, ...]:
    label = draw(st.sampled_from(sorted(MURMURS))), draw(st.sampled_from(sorted(OUTCOMES)))
    names = draw(st.permutations(ALL))[: draw(st.integers(1, 5))]
    cased = [draw(st.sampled_from([n, n.lower(), n.upper(), f" {n} "])) for n in names]
    truths = [draw(st.sampled_from(sorted(TRUTHS))) for _ in names]
    numbers = [draw(st.sampled_from(sorted(NUMBERS))) for _ in names]
    return label, names, cased, truths, numbers


@settings(max_examples=60, deadline=None)
@given(st.lists(entries(), min_size=1, max_size=8))
def test_odd_files(tmp_path_factory: pytest.TempPathFactory, given_entries: list[Any]) -> None:
    folder = tmp_path_factory.getbasetemp() / "odd"
    y_true = {
        "murmur": np.array([MURMURS[label[0]] for label, *_ in given_entries]),
        "outcome": np.array([OUTCOMES[label[1]] for label, *_ in given_entries]),
    }
    y_called, y_prob = {}, {}
    for task, classes in CLASSES.items():
        called, probs = [], []
        for _, names, _, truths, numbers in given_entries:
            says = dict(zip(names, truths, strict=True))
            row = [TRUTHS[says.get(name, "0")] for name in classes]
            called.append(row.index(1) if row.count(1) == 1 else 0)
            values = dict(zip(names, numbers, strict=True))
            probs.append([NUMBERS[values.get(name, "")] for name in classes])
        y_called[task], y_prob[task] = np.array(called), np.array(probs, dtype=float)
    files = write(
        folder,
        [label for label, *_ in given_entries],
        [(cased, truths, numbers) for _, _, cased, truths, numbers in given_entries],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn, of classes that are not there
        wanted = expected(y_true, y_called, y_prob)
    assert_same(score_folders(*files), wanted)


def areas(own: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """As the organisers describe them: TPR over TNR by trapezoids, precision over recall by steps.

    From nobody called to all, at every distinct score; counted patient by patient.
    """
    roc = recall_area = 0.0
    tpr, tnr = 0.0, 1.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        hits = sum(o and s >= threshold for o, s in zip(own, score, strict=True))
        n_called = sum(s >= threshold for s in score)
        now = hits / own.sum() if own.any() else np.nan
        spared = 1 - (n_called - hits) / (~own).sum() if not own.all() else np.nan
        roc += (now + tpr) / 2 * (tnr - spared)
        recall_area += (now - tpr) * hits / n_called
        tpr, tnr = now, spared
    return roc, recall_area


@pytest.mark.parametrize("seed", range(8))
def test_infinite_probabilities_are_extremes(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n, texts = 40, ["inf", "-inf", "1e999", "nan", "x", "", "-0.0", "0.3", "0.5", "2", "-7"]
    y_true = {task: rng.integers(0, len(c), n) for task, c in CLASSES.items()}
    labels = [(MURMUR[m], OUTCOME[o]) for m, o in zip(*y_true.values(), strict=True)]
    said = rng.choice(texts, (n, 5))
    outputs = [(ALL, ["0"] * 5, row.tolist()) for row in said]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score_folders(*write(tmp_path, labels, outputs))
    values = np.array([[0.0 if each in {"x", "", "nan"} else float(each) for each in row]
                       for row in said])  # fmt: skip
    for k, name in enumerate(ALL):
        task = "murmur" if name in MURMUR else "outcome"
        c = CLASSES[task].index(name)
        mine = [found[task][f"{area}_classes"][c] for area in ("auroc", "auprc")]
        assert mine == pytest.approx(areas(y_true[task] == c, values[:, k]), abs=1e-12)


def test_a_model_that_failed_says_present_and_abnormal(tmp_path: Path) -> None:
    labels = [("Present", "Abnormal"), ("Absent", "Normal")]
    good = (ALL, ["0", "0", "1", "0", "1"], ["0.1", "0.1", "0.8", "0.2", "0.8"])
    found = score_folders(*write(tmp_path, labels, [([""], [""], [""]), good]))
    assert found["murmur"]["accuracy"] == found["outcome"]["accuracy"] == 1
    assert found["outcome"]["cost"] == cost_of_each(np.array([1, 0]) > 0, np.array([1, 0]) > 0)


# --- the command ------------------------------------------------------------------------------


def three(folder: Path) -> tuple[Path, Path]:
    labels = [("Present", "Abnormal"), ("Absent", "Normal"), ("Absent", "Abnormal")]
    rows = [
        (ALL, ["1", "0", "0", "1", "0"], ["0.7", "0.2", "0.1", "0.9", "0.1"]),
        (ALL, ["0", "0", "1", "0", "1"], ["0.2", "0.2", "0.6", "0.3", "0.7"]),
        (ALL, ["0", "1", "0", "0", "1"], ["0.4", "0.5", "0.1", "0.2", "0.8"]),
    ]
    return write(folder, labels, rows)


def test_the_command_prints_what_the_official_script_prints(tmp_path: Path) -> None:
    folders = [str(each) for each in three(tmp_path)]
    done = CliRunner().invoke(cli, ["score", *folders])
    assert done.exit_code == 0, done.output
    # By hand: nobody is Unknown by label, and patient 2 is called so.
    assert done.output == (
        "#Murmur scores\n"
        "AUROC,AUPRC,F-measure,Accuracy,Weighted Accuracy,Cost\n"
        f"0.875,0.917,0.556,0.667,0.857,{_cost('101', '101')}\n"
        "\n"
        "#Outcome scores\n"
        "AUROC,AUPRC,F-measure,Accuracy,Weighted Accuracy,Cost\n"
        f"0.500,0.667,0.667,0.667,0.545,{_cost('100', '101')}\n"
        "\n"
        "#Murmur scores (per class)\n"
        "Classes,Present,Unknown,Absent\n"
        "AUROC,1.000,nan,0.750\n"
        "AUPRC,1.000,nan,0.833\n"
        "F-measure,1.000,0.000,0.667\n"
        "Accuracy,1.000,nan,0.500\n"
        "\n"
        "#Outcome scores (per class)\n"
        "Classes,Abnormal,Normal\n"
        "AUROC,0.500,0.500\n"
        "AUPRC,0.833,0.500\n"
        "F-measure,0.667,0.667\n"
        "Accuracy,0.500,1.000\n"
        "\n"
    )


def _cost(referred: str, abnormal: str) -> str:
    bits = [np.array([c == "1" for c in text]) for text in (referred, abnormal)]
    return f"{cost_of_each(*bits):.3f}"


def test_json_has_the_keys_and_all_digits(tmp_path: Path) -> None:
    truth, outputs = three(tmp_path)
    done = CliRunner().invoke(cli, ["score", str(truth), str(outputs), "--json"])
    found = json.loads(done.output)
    assert found == score_folders(truth, outputs)
    assert set(found["outcome"]) == {
        *("auroc", "auprc", "auroc_classes", "auprc_classes", "f_measure", "f_measure_classes"),
        *("accuracy", "accuracy_classes", "weighted_accuracy", "cost"),
    }
    assert found["murmur"]["auroc_classes"][1] is None
    assert found["murmur"]["accuracy"] == 2 / 3
    assert ",nan," in as_text(found)


def test_what_is_missing_or_mixed_up_is_named(tmp_path: Path) -> None:
    truth, outputs = three(tmp_path)
    (outputs / "stranger.csv").write_text("no patient of the labels")
    score_folders(truth, outputs)

    def fails(error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            score_folders(truth, outputs)

    kept = (outputs / "1.csv").read_text()
    for text, message in (
        ("#1\nPresent,Absent\n1,0\n", r"1\.csv has 3 lines; an output has four"),
        (kept.replace("#1", "#2"), r"begins with '#2'.*begins with '#1'"),
        (kept.replace("0.2,0.2", "0.2"), r"5 classes and 4 probabilities"),
        (kept.replace("0,0,1,0,1", "0,0,1,0,1,1"), r"5 classes and 6 labels"),
        (kept.replace("Unknown", "present"), r"names the class present more than once"),
        ("#1\nsick,well\n1,0\n0.5,0.5\n", r"'sick,well', and none is a class of the challenge"),
    ):
        (outputs / "1.csv").write_text(text)
        fails(PredictionsError, message)
    (outputs / "1.csv").unlink()
    fails(PredictionsError, r"1 of 3 patients .* have no <id>\.csv in .*outputs: 1\. Every")
    (outputs / "1.csv").write_text(kept)
    (truth / "2.txt").write_text("2 1 4000\n#Murmur: Absent\n")
    fails(CohortError, r"2\.txt has no line #Outcome:")
    with pytest.raises(CohortError, match="nowhere is not a folder"):
        score_folders(truth, tmp_path / "nowhere")
    with pytest.raises(CohortError, match="holds no labels"):
        score_folders(outputs, outputs)
