"""What all pages share: templates beside this module, and data that cannot break out of a script.

Pages open offline: the drawing library is inlined, and no request leaves them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from kfold_hs.judge.results.sentences import counted, without_folders
from kfold_hs.report.traced import marked, plainly, showing


def rendered(name: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """The page that a template makes of these values.

    Numbers of `traced` values are marked in tables with where they stand.

    Parameters
    ----------
    name : str
        Of the template, beside this module.
    filters : mapping
        How the template says what it shows.
    **values
        What the template shows. A name that it misspells is an error.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("kfold_hs.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=plainly,
    )
    templates.filters |= {"counted": counted, "without_folders": without_folders}
    templates.filters |= {each: showing(each, text_of) for each, text_of in filters.items()}
    return marked(templates.get_template(name).render(values))


def drawing(figures: Mapping[str, Any]) -> dict[str, Markup]:
    """What `figures.html.j2` takes: the figures by name, and Plotly."""
    return {"figures": Markup(script_json(figures)), "plotly": Markup(get_plotlyjs())}


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever a name holds."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
