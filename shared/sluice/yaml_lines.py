"""YAML files of the configuration: read strictly, and where a value stands in one."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import yaml


def _date(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> date:
    try:
        found: date = loader.construct_yaml_timestamp(node)
    except ValueError as exc:
        raise yaml.constructor.ConstructorError(
            problem=f"`{node.value}` is no date: {exc}", problem_mark=node.start_mark
        ) from exc
    return found


class _Strict(yaml.SafeLoader):
    """Reads as SafeLoader does, but refuses a name that stands twice in a mapping: of two rules one would be dropped without a word."""

    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, "tag:yaml.org,2002:timestamp": _date}

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if (key.tag, key.value) in seen:
                raise yaml.composer.ComposerError(
                    problem=f"`{key.value}` stands twice in one mapping, and only the last would count: join the two",
                    problem_mark=key.start_mark,
                )
            seen.add((key.tag, key.value))
        return node


def read(text: str) -> Any:
    """Return the one document of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML, a name stands twice in a mapping, or a date is none; the error says where.
    """
    return yaml.load(text, Loader=_Strict)  # noqa: S506  # _Strict is a SafeLoader


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """Return the line (from 1) of the value at a place such as `("models", 0, "price")`, or of the nearest thing around it.

    None when the text is not one YAML document.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    if node is None:
        return None
    line: int = node.start_mark.line
    for step in place:
        found = _inside(node, step)
        if (
            found is not None
        ):  # else a field that is missing, or the name of a kind, which pydantic puts into its places
            node, line = found
    return line + 1


def _inside(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(step):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        entry = node.value[step]
        return entry, entry.start_mark.line
    return None
