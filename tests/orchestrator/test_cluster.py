"""A run on a Ray cluster: complete and the same bits, though a node is lost on the way."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.jobs import CPU, check_same_bits, fit
from support.project import Silent
from support.racing import race
from support.training import config, context_of

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ClusterError, ConfigError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.device import threads
from kfold_hs.learn.features import bank as banks
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.ray_cluster import _packed, _unpacked


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes on this machine; the first is only talked to."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    store = 80 * 2**20
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": store, "include_dashboard": False},
    )
    nodes.add_node(num_cpus=1, object_store_memory=store)
    yield nodes
    import ray

    ray.shutdown()
    nodes.shutdown()


def fit_on(
    address: str,
    cohort: Cohort,
    root: Path,
    listener: Silent,
    *more: str,
) -> RunPaths:
    settings, paths = config(*more), RunPaths("run", root)
    context = context_of(cohort, settings, paths, 3)
    Fleet(executor="ray", address=address, cpus=1).train(CPU)(context.plan, context, listener)
    return paths


class LosesANode(Silent):
    """A node is killed when both of two folds have come some way."""

    def __init__(self, cluster: Any) -> None:
        super().__init__()
        self._cluster = cluster

    def fold(self, place: object, state: str, note: str = "") -> None:
        super().fold(place, state, note)
        if note:
            self.notes.append(note)

    def epoch(self, place: object, row: object) -> None:
        super().epoch(place, row)
        if self._cluster.worker_nodes and {fold for fold, epoch in self.rows if epoch} >= {0, 1}:
            (node,) = self._cluster.worker_nodes
            self._cluster.remove_node(node, allow_graceful=False)


N_EPOCHS = 16
"""Long enough to be killed in."""
LONG = [f"train.epochs={N_EPOCHS}", "track=[]"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_lost_node_costs_no_fold_and_no_bit(
    cluster: Any,
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    listener = LosesANode(cluster)
    with Fleet(executor="ray", address=cluster.address).open(), threads(1):
        run = fit_on(cluster.address, cohort, tmp_path / "ray", listener, *LONG)
        _refuse_what_no_node_can_hold(cluster, cohort, tmp_path)
    with threads(1):
        once = fit(cohort, tmp_path / "once", Silent(), *LONG)
    assert not cluster.worker_nodes  # it was killed
    assert listener.states.count("done") == 3
    assert "lost its node and goes on elsewhere" in listener.notes
    assert [epoch for fold, epoch in listener.rows if fold == 2] == list(range(N_EPOCHS))
    check_same_bits(run, once)
    again = Silent()  # found, as any executor finds it
    fit_on(cluster.address, cohort, tmp_path / "ray", again, *LONG)
    assert again.states == ["found"] * 3


def _refuse_what_no_node_can_hold(cluster: Any, cohort: Cohort, root: Path) -> None:
    settings, paths = config(), RunPaths("other", root)
    context = context_of(cohort, settings, paths, 3)
    train = Fleet(executor="ray", address=cluster.address, cpus=64).train(CPU)
    with pytest.raises(ClusterError, match=r"asks for 64 CPUs .* there is 1 CPUs"):
        train(context.plan, context, Silent())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_search_on_a_cluster_stops_the_same_trial(
    cluster: Any,
    raced: Path,
    tmp_path: Path,
) -> None:
    one, _ = race(raced, tmp_path / "one")
    words = ["--executor", "ray", "--address", cluster.address, "--cpus-per-fold", "1"]
    two, _ = race(raced, tmp_path / "two", *words)
    for first, second in zip(one["trials"], two["trials"], strict=True):
        same = ("params", "state", "value", "cause", "run", "estimate")
        assert [first[key] for key in same] == [second[key] for key in same]
    assert two["trials"][2]["state"] == "stopped"
    assert two["provenance"]["device"] == "cpu, on a Ray cluster"
    run = RunPaths(two["trials"][2]["run"], tmp_path / "two")
    for fold in range(3):  # tasks that were under way have let them go
        with lock(run.fold(FoldId(0, 0, fold)).lock, "the fold"):
            pass


def test_the_bank_is_read_where_it_lies(cohort: Cohort) -> None:
    bank = banks.build(cohort, config().features)
    packed = _packed(bank)
    packed[0].flags.writeable = False
    shown = _unpacked(packed)
    assert shown.frames.data_ptr() == bank.frames.data_ptr()
    assert shown.digest == bank.digest
    assert bank.level is not None
    assert shown.level is not None
    assert torch.equal(shown.level, bank.level)


def test_what_is_about_a_cluster_needs_one() -> None:
    with pytest.raises(ConfigError, match="add --executor ray"):
        Fleet(address="somewhere:6379")
    with pytest.raises(ConfigError, match="0 or more"):
        Fleet(executor="ray", gpus=-1)


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "here"])
def test_no_cluster_is_told_with_the_way_to_one(
    cohort: Cohort, tmp_path: Path, address: str
) -> None:
    with pytest.raises(ClusterError, match=rf"no Ray cluster at {address}: .*ray start --head"):
        fit_on(address, cohort, tmp_path, Silent())
