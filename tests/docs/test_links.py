"""Links of the documentation: files and headings are there; addresses elsewhere are well-formed.

`make docs` checks the same for the site. Nothing is asked over a network.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.doc_blocks import PAGES, ROOT

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EVERY = [*PAGES, ROOT / "CHANGELOG.md"]


def links(page: Path) -> list[str]:
    return _LINK.findall(_CODE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """What GitHub and the site call the headings of a page; a second one alike gets a number."""
    seen: Counter[str] = Counter()
    found = set()
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "http", "mailto"), link
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if parts.fragment:
            assert parts.fragment in anchors(target), f"{page.name}: {link}"


def test_the_changelog_says_nothing_twice() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    entries = Counter(re.findall(r"^- .+$", text, re.MULTILINE))
    assert [entry for entry, n in entries.items() if n > 1] == []


def test_links_are_found_in_what_pages_hold() -> None:
    pages = [link for page in EVERY for link in links(page)]
    assert len(pages) > 100
    assert "docs/images/report.png" in pages
    assert {urlsplit(link).scheme for link in pages} == {"", "https"}
    assert "settings" in anchors(ROOT / "docs" / "python.md")


def test_every_page_is_in_the_table_of_contents_once() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    lines = [line for tree in _TOCTREE.findall(text) for line in tree.splitlines()]
    listed = [re.sub(r".* <(.+)>", r"\1", line) for line in lines if line[:1] not in ("", ":")]
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert Counter(listed) == Counter(pages)


def test_the_readme_leads_to_every_page_and_is_short() -> None:
    readme = ROOT / "README.md"
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    assert not pages - {link.split("#")[0] for link in links(readme)}
    assert len(readme.read_text().splitlines()) < 120


def test_messages_of_the_package_name_pages_that_are_there() -> None:
    named = set()
    files = [*(ROOT / "kfold_hs").rglob("*.py"), *(ROOT / "kfold_hs").rglob("*.j2")]
    for path in [*files, *(ROOT / "configs").rglob("*.yaml"), ROOT / "Makefile"]:
        named |= set(re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text()))
    assert named
    assert not [name for name in named if not (ROOT / name).is_file()]
