"""Where a value stands in a YAML file."""

from collections.abc import Sequence

import yaml


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
        for key, value in reversed(node.value):  # of a name that stands twice the last counts
            if key.value == str(step):
                return value, key.start_mark.line
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        entry = node.value[step]
        return entry, entry.start_mark.line
    return None
