"""What the tests share: real data where it lies, small cohorts, a cache of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.project import TINY, write_table

pytest_plugins = ["support.api"]
ROOT = Path(__file__).parent.parent

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Before torch is loaded: workers share the cores, and threads beyond them wait for each other.
    threads = max(1, (os.cpu_count() or 1) // int(workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

LONGEST = (
    "test_cluster",
    "test_pages",
    "test_cross_validation",
    "test_jobs",
    "test_bundle_real",
    "test_tune",
    "test_compare",
    "test_docs",
    "test_colab",
    "test_fit",
    "test_plugins",
    "test_statements",
    "test_many_labels",
    "test_fake_cuda",
    "test_audit",
    "test_kit",
    "test_validation",
    "test_patients",
    "test_resume",
    "test_devices",
    "test_segmenting",
    "test_evaluation",
    "test_frames_run",
    "test_run_page",
    "test_nested",
    "test_calls",
    "test_pruning",
    "test_gallery",
    "test_refit",
    "test_testing",
    "test_fits",
    "test_bundle",
    "test_bundle_frames",
)
"""Files that take longest, longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """With --dist loadfile, files go to workers in our order, not by how many tests they have."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that workers end together."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


_DATA = Path(os.environ.get("KFOLD_HS_DATA", ROOT.parent / "shared"))


def _data(name: str) -> Path:
    folder = _DATA / name
    if not folder.is_dir():
        pytest.skip(f"real recordings are not here: {folder} (set KFOLD_HS_DATA)")
    return folder


@pytest.fixture(scope="session")
def circor() -> Path:
    return _data("circor")


@pytest.fixture(scope="session")
def circor_wav() -> Path:
    return _data("circor-wav-sample")


@pytest.fixture(scope="session")
def cinc2016() -> Path:
    return _data("cinc2016-sample")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features and the built-in cohort of the tests do not touch the user's cache."""
    before = os.environ.get("KFOLD_HS_CACHE")
    os.environ["KFOLD_HS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["KFOLD_HS_CACHE"]
    else:
        os.environ["KFOLD_HS_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut() -> Iterator[None]:
    """Nothing here is to outlive one, so that no file is waited for until its disk has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def table_csv(tmp_path: Path) -> Path:
    return write_table(tmp_path)


@pytest.fixture(scope="session")
def shared_table_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made once; do not change its files."""
    return write_table(tmp_path_factory.mktemp("table"))


@pytest.fixture
def edit_csv(table_csv: Path) -> Callable[[Callable[[pd.DataFrame], pd.DataFrame]], Path]:
    """Change the table of `table_csv` and write it back."""

    def edit(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
        table = pd.read_csv(table_csv, dtype=object, keep_default_na=False)
        change(table).to_csv(table_csv, index=False)
        return table_csv

    return edit


@pytest.fixture(scope="module")
def cohort(shared_table_csv: Path) -> Any:
    """The people of `shared_table_csv`."""
    from kfold_hs.cohort.readers.registry import read_cohort
    from kfold_hs.config.compose import compose

    return read_cohort(compose([*TINY, f"data.path={shared_table_csv}"]).data)


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 48 patients."""
    folder = tmp_path_factory.mktemp("raced")
    write_table(folder, n_patients=48, n_recordings=1, seconds=1.5)
    return folder
