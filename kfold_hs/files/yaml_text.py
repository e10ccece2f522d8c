"""YAML as OmegaConf reads it, by libyaml where PyYAML has it: ten times as fast.

Every run reads the settings of all others beside it, so that a folder of a hundred took seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP, _FLOAT = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
_MOST_DEEP = 100


class _Loader(_BASE):  # type: ignore[misc]
    """As OmegaConf's own: 1e-4 is a number, a date is a text, no key stands twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, form) for tag, form in each if tag != _TIMESTAMP]
        for first, each in _BASE.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise ValueError(f"the key {twice[0]} is found twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))


def parse_yaml(text: str) -> Any:
    """The content of a YAML document without aliases.

    Raises
    ------
    ValueError
        It has aliases, a key twice, or values nested too deeply.
    yaml.YAMLError
        It is no YAML.
    """
    for depth in _depths(text):
        if depth > _MOST_DEEP:
            raise ValueError(f"its values are nested more than {_MOST_DEEP} deep")
    return yaml.load(text, _Loader)


def _depths(text: str) -> Iterator[int]:
    """How deep the values lie that begin one after another; nothing is built of them yet."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has YAML aliases, which kfold-hs does not write")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            yield depth
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
