"""Schemathesis against a running service: every answer is one that its OpenAPI document declares, and none is a 500."""

from collections.abc import Callable, Mapping

import schemathesis
import schemathesis.specs.openapi.schemas
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

# `schemas` is imported above, and not by the first schema that is loaded: pytest rewrites what it imports, and CPython before 3.11.8
# fails at that while a thread writes a traceback (gh-106905), as servers of running tests may.
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def assert_answers_as_declared(
    base: str,
    wanted: Callable[[str], bool],
    headers: Mapping[str, str],
    *,
    least: int,
    examples: int = 40,
    change: Callable[[schemathesis.Case], None] = lambda case: None,
    answered: Callable[[str, int], None] = lambda path, status: None,
) -> None:
    """Try each operation whose path is wanted with many requests; `least` guards against a filter that finds too few.

    `change` may turn a made-up request into one that finds something; `answered` hears each path and status.
    """
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    tried = [operation for operation in operations if wanted(operation.path)]
    assert len(tried) >= least
    for operation in tried:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: schemathesis.Case) -> None:
            change(case)
            answer = case.call_and_validate(headers=dict(headers), checks=CHECKS)
            answered(case.operation.path, answer.status_code)

        holds()
