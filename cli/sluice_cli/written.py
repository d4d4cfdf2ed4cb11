"""YAML and JSON as people write it, read as what an API takes."""

import math
from datetime import date
from typing import Any

import yaml

from sluice.yaml_lines import read
from sluice_cli.platform.errors import CommandFailed


def document(text: str, what: str) -> Any:
    """Return what a text holds, its dates as texts; `what` names it in errors.

    Raises:
        CommandFailed: it is neither YAML nor JSON, says something twice, or holds what JSON cannot.
    """
    try:
        return _plain(read(text), what)
    except yaml.YAMLError as exc:
        raise CommandFailed(f"{what} is neither YAML nor JSON: {exc}") from exc
    except RecursionError as exc:
        raise CommandFailed(f"{what} is nested too deep.") from exc


def _plain(value: Any, what: str) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(inner, what) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, what) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise CommandFailed(
        f"{what} holds {str(value)[:40]}, which JSON cannot: write a text, a number, a list or an object."
    )
