"""What a folder of recordings is: a published data set, a table, or folders named by class."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from kfold_hs.cohort.cohort import UNKNOWN_PERSONS, Cohort
from kfold_hs.cohort.csv_file import CsvFile, read_csv
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError, counted, listing
from kfold_hs.files.walk import find_files, is_hidden
from kfold_hs.splits.strata import strata
from kfold_hs.workflows.init.columns import guess_table
from kfold_hs.workflows.init.guess import MOST_FOLDS, Guess, Named, folds_for
from kfold_hs.workflows.init.recordings import files_of

CLASS = "class"
"""Column of the folder's name, in a table that is made of folders by class."""


def published(root: Path) -> tuple[str, Path, str] | None:
    """The reader of a data set in its official layout, its folder, and what told it.

    It may be the folder itself, or the only one in it that is such.
    """
    inner = [each for each in sorted(root.iterdir()) if each.is_dir() and not is_hidden(each.name)]
    here, below = _layout(root), [(each, _layout(each)) for each in inner]
    if here:
        return here[0], root, here[1]
    known = [(*layout, folder) for folder, layout in below if layout]
    if len(known) == 1:
        kind, why, folder = known[0]
        return kind, folder, why
    return None


def _layout(root: Path) -> tuple[str, str] | None:
    if (root / "training_data.csv").is_file() and (root / "training_data").is_dir():
        return "circor", "training_data.csv and the folder training_data are there"
    if (root / "train.csv").is_file() and (root / "train").is_dir():
        return "bmdhs", "train.csv and the folder train are there"
    try:
        names = sorted(each.name for each in root.iterdir())
    except OSError:
        return None
    tables = [name for name in names if name.casefold().endswith("heartsound data details.csv")]
    if tables:
        return "zchsound", f"{listing(tables)} is there"
    if "REFERENCE.csv" in names:
        return "cinc2016", "REFERENCE.csv is there"
    parts = [name for name in names if re.match("training-", name, re.IGNORECASE)]
    if any((root / part / "REFERENCE.csv").is_file() for part in parts):
        return "cinc2016", f"{listing(parts)}, with REFERENCE.csv"
    return None


def guess_published(kind: str, root: Path, why: str) -> Guess:
    """A data set in its official layout; its tasks are those of `configs/data/`.

    The recordings are looked at, for how many people are in the rarest class. What cannot be read
    yet is a question: the rest of the data may come later.
    """
    found = Guess()
    found.put("data.kind", kind, why)
    found.put("data.root", root)
    data = compose([f"data={kind}", f"data.root={root}"]).data
    try:
        cohort = read_cohort(data)
    except CohortError as error:
        found.notes += [
            f"Task {name}: {', '.join(task.classes)}." for name, task in data.tasks.items()
        ]
        found.ask("data.root", f"these data cannot be read as they are. {error}")
        found.put("split.n_folds", MOST_FOLDS)
        return found
    people = classes_of(cohort)
    for task in cohort.tasks:
        counts = ", ".join(f"{people[f'{task.name}={each}']} {each}" for each in task.classes)
        found.notes.append(f"Task {task.name}: persons: {counts}.")
    for note in cohort.notes:
        if note.name == UNKNOWN_PERSONS:
            found.ask("data.aliases", f"{note.text}. A table of ids that are one person, as "
                      "data.aliases, joins them")  # fmt: skip
    found.put("split.n_folds", *folds_for(min(people.values())))
    return found


def classes_of(cohort: Cohort) -> dict[str, int]:
    """Task and class, such as ``murmur=Unknown`` -> how many persons are of it."""
    whole = strata(cohort)
    counts = whole.table.sum()[whole.is_class]
    found = {f"{task.name}={each}": 0 for task in cohort.tasks for each in task.classes}
    return found | {str(name): int(count) for name, count in counts.items()}


def table_in(folder: Path) -> Path | None:
    """The one CSV in a folder that names recordings; None: there is none.

    Raises
    ------
    CohortError
        There are several.
    """
    tables = []
    for path in sorted(folder.glob("*.[cC][sS][vV]")):
        try:
            files_of(read_csv(path).table, path, None)
        except CohortError:
            continue
        tables.append(path)
    if len(tables) > 1:
        raise CohortError(
            f"{folder} has several tables of recordings: {listing(t.name for t in tables)}. "
            "Name one: kfold-hs init TABLE."
        )
    return tables[0] if tables else None


def guess_folders(root: Path, named: Named) -> Guess:
    """Recordings in folders that are named by their class.

    Raises
    ------
    CohortError
        They are not: there is no recording, or one folder only.
    """
    files = find_files(root).files
    if not files:
        raise CohortError(
            f"below {root} lies no recording (WAV, FLAC, AIFF), and no table of some. Name the "
            "folder of the recordings, or the table."
        )
    places = [path.relative_to(root).parts for path in files]
    classes = Counter(parts[0] if len(parts) > 1 else "" for parts in places)
    if "" in classes or len(classes) < 2:
        raise CohortError(
            f"{root} has {counted(len(files), 'recording')}, and nothing says their labels. Write "
            "a table beside them, a line for each recording, such as\n"
            f"recording,patient_id,label\n{'/'.join(places[0])},001,abnormal\n"
            "and name it: kfold-hs init TABLE. Or put the recordings into one folder for each "
            "class."
        )
    rows = [("/".join(parts), parts[0]) for parts in places]
    table = pd.DataFrame(rows, pd.RangeIndex(2, len(rows) + 2), ["recording", CLASS], dtype=object)
    found = guess_table(root / "folder", CsvFile(table), named)
    found.notes.insert(0, f"Folders are classes: {listing(sorted(classes), 10)}.")
    if found.table is None:
        found.table = table
    return found
