"""The documentation as a site: `make docs`.

Pages are the Markdown files beside this one. Where a page says `<!-- generated: WHAT -->`, the
reference of settings, commands or Python names comes in, from the code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "ext"))

import coverage_list
import reference
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

import kfold_hs

logger = logging.getLogger(__name__)

project = "kfold-hs"
author = "kfold-hs developers"
version = release = kfold_hs.__version__
copyright = author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["ext"]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a reference comes in below whatever heading a page has

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = True
default_role = "code"
smartquotes = False  # --name is an option, not a dash
copybutton_prompt_text = r"\$ "
copybutton_exclude = ".linenos, .gp, .c1"  # a comment beside a command is not copied

html_theme = "furo"
html_title = "kfold-hs"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = html_show_sourcelink = False
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "github-dark"


def _filled(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = reference.filled(source[0])


def _counted(app: Sphinx, error: Exception | None) -> None:
    """What of the public names, commands, options and settings the site documents."""
    if error is None and app.builder.format == "html":
        listed, missing = coverage_list.of_site(Path(app.outdir))
        print(listed)
        for each in missing:
            logger.warning("not documented: %s", each)


def _dashed(app: Sphinx, document: nodes.document) -> None:
    """A dash between a parameter and its description, which napoleon writes as two hyphens."""
    for text in [*document.findall(nodes.Text)]:
        if text.startswith(" -- "):
            text.parent.replace(text, nodes.Text(" – " + text.removeprefix(" -- ")))


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("source-read", _filled)
    app.connect("doctree-read", _dashed)
    app.connect("build-finished", _counted)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
