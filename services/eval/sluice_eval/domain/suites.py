"""Suites: read from YAML or JSON, checked item by item, and named by their content."""

import hashlib
import json
from collections import Counter
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.events import AliasEvent

from sluice.contracts.evals import CreateEval, EvalItem
from sluice_eval.domain.errors import SuiteInvalid
from sluice_eval.domain.scoring import check_item


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            raise SuiteInvalid("A suite file cannot use YAML aliases (*name); write the value out.")
        return super().compose_node(parent, index)


def parse_suite(text: bytes) -> CreateEval:
    """Read a suite from a YAML (or JSON) file.

    Raises:
        SuiteInvalid: it is not YAML, or a value is wrong; the sentence names the place.
    """
    try:
        raw = yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader with fewer features
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise SuiteInvalid(f"The file is not valid YAML: {_one_line(exc)}") from exc
    try:
        return CreateEval.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "suite"
        raise SuiteInvalid(f"{place}: {first['msg'].removeprefix('Value error, ')}.") from exc


def finished(suite: CreateEval) -> CreateEval:
    """Return the suite with an id for every item, after each item was checked.

    Raises:
        SuiteInvalid: two items have one id, or an item's `expected` does not fit its scorer.
    """
    items = tuple(
        item if item.id is not None else item.model_copy(update={"id": f"item-{position}"})
        for position, item in enumerate(suite.items, start=1)
    )
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise SuiteInvalid(f"Two items have the id {twice[0]!r}; ids are unique in a suite.")
    for item in items:
        check_item(item, f"Item {item.id}")
    return suite.model_copy(update={"items": items})


def content_hash(suite: CreateEval) -> str:
    """Return SHA-256 over what can change a result: items with scorers, and sampling. Name and description do not count."""
    content = {
        "items": [item.model_dump(mode="json") for item in suite.items],
        "sampling": suite.sampling.model_dump(mode="json"),
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def scorer_counts(items: tuple[EvalItem, ...]) -> dict[str, int]:
    """Return how many items each scorer has."""
    return dict(sorted(Counter(item.scorer.kind for item in items).items()))


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:300]
