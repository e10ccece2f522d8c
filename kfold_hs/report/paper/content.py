"""A paper's material: sections of blocks that every writer can write.

Numbers in the blocks are `Shown`: each says in which file, and where in it, it stands, as
``summary.json#/headline/value`` (RFC 6901, as a fragment).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from kfold_hs.judge.results.for_papers import EXTERNAL, INTERNAL
from kfold_hs.report.formats import FORMATS, interval
from kfold_hs.report.tables import Content, Table, parts_of, tag

TO_FILL_IN = "TO FILL IN: "


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    content: Content


@dataclass(frozen=True)
class Code:
    """What is typed, letter by letter."""

    text: str


@dataclass(frozen=True)
class Step:
    """A box of the flow diagram: who is in it, and who left after it, and why."""

    inside: Content
    left: list[Content] = field(default_factory=list)


@dataclass(frozen=True)
class Flow:
    """The flow diagram."""

    steps: list[Step]


@dataclass(frozen=True)
class Figure:
    """A curve, by the name that the page's data have for it."""

    name: str
    caption: str


Block = Text | Code | Flow | Figure | Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    name: str
    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Paper:
    """All of it; `figures` by name, as Plotly takes them."""

    title: str
    sections: list[Section]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Sources:
    """What a paper is made from: contents of JSON files, `traced`, each with its file's name.

    summary : of summary.json
    config : of config.yaml; empty where there is none
    derived : of paper.json
    validation : of validation.json, None without one
    """

    summary: dict[str, Any]
    config: dict[str, Any]
    derived: dict[str, Any]
    validation: dict[str, Any] | None = None

    @property
    def is_imported(self) -> bool:
        """Whether another program made the predictions: of its models nothing is known."""
        return "imported" in self.summary

    @property
    def inside(self) -> str:
        """How the run's own people were predicted."""
        return "as given" if self.summary["split"]["n_folds"] is None else "out of fold"

    @property
    def sides(self) -> dict[str, str]:
        """The keys of paper.json that hold tasks, in words."""
        return {INTERNAL: self.inside, EXTERNAL: "external validation"}

    @property
    def leaks(self) -> list[Any]:
        """What the audit of the split found of people whom their models were trained on."""
        found = self.summary["split"].get("findings") or ()
        return [each["text"] for each in found if each["is_leak"]]

    @property
    def absent(self) -> Text:
        """In place of what the summary does not hold."""
        if self.is_imported:
            return Text("Predictions that another program made do not say this.")
        return _absent("run", self.summary)

    @property
    def absent_outside(self) -> Text:
        """In place of what the validation does not hold."""
        return _absent("validation", self.validation or {})


def _absent(what: str, content: Mapping[str, Any]) -> Text:
    version = content.get("provenance", {}).get("versions", {}).get("kfold-hs", "an older version")
    return Text(
        f"Not in this {what} (made by kfold-hs {version}): repeat the {what}'s command, which "
        "judges anew and trains nothing."
    )


def numbers_of(paper: Paper) -> Iterator[tuple[str, str, Any]]:
    """Section, text and number of all that is `Shown`, in the order of the files."""
    for section in paper.sections:
        for block in section.blocks:
            for content in contents_of(block):
                for part in parts_of(content):
                    if hasattr(part, "number"):
                        yield section.name, str(part), part


def contents_of(block: Block) -> list[Content]:
    """All content of a block, in the order in which it is written."""
    match block:
        case Text():
            return [block.content]
        case Code():
            return [block.text]
        case Figure():
            return [block.caption]
        case Flow():
            return [each for step in block.steps for each in (step.inside, *step.left)]
        case Table():
            return [block.caption, *block.head, *(cell for row in block.rows for cell in row)]


def to_fill_in(what: str) -> Content:
    """What the authors are to write, marked."""
    return tag("mark", f"{TO_FILL_IN}{what}.")


def code(text: str) -> Content:
    """A name, a digest or a pointer."""
    return [Markup("<code>"), text, Markup("</code>")]


def some(n: Any, one: str, many: str | None = None) -> Content:
    """A traced count and its noun: `1 person`, `1,204 people`."""
    return [FORMATS["whole"](n), " ", one if n == 1 else many or f"{one}s"]


def counts_of(tasks: Mapping[str, Mapping[str, Any]]) -> Content:
    """Patients by class of every task, as `murmur: 3 Present, 4 Absent`."""
    return enumerated_contents(
        [
            [name, ": ", enumerated_contents([[FORMATS["whole"](n), " ", each]
                                              for each, n in counts.items()])]
            for name, counts in tasks.items()
        ],
        "; ",
    )  # fmt: skip


def with_ends(estimate: Mapping[str, Any] | None, written_as: str = "") -> list[Content]:
    """Two cells: a value and its interval; dashes where nothing is known."""
    if estimate is None or estimate.get("value") is None:
        return ["–", "–"]
    return [FORMATS[written_as or "number"](estimate["value"]), interval(estimate, written_as)]


def in_one(estimate: Mapping[str, Any] | None, written_as: str = "") -> Content:
    """One cell: a value and its interval in brackets; a dash where nothing is known."""
    value, ends = with_ends(estimate, written_as)
    return value if value == "–" else [value, " (", ends, ")"]


def enumerated_contents(contents: list[Content], between: str = ", ") -> Content:
    """Contents with something between them."""
    return [part for each in contents for part in (between, each)][1:]
