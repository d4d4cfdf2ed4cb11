"""Schemathesis against the running service: no 500, and every answer is declared in the OpenAPI document."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sluice.testing import admin_headers

pytestmark = pytest.mark.integration
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.timeout(300)
def test_answers_are_as_declared(shared: Any) -> None:
    store = shared.store()
    schema = schemathesis.openapi.from_url(f"{shared.client.base_url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    tried = [item for item in operations if item.path.startswith(("/v1/", "/internal/"))]
    assert len(tried) >= 15
    for operation in tried:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=20,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: Any) -> None:
            if len(str((case.path_parameters or {}).get("store_id", ""))) % 2:
                case.path_parameters["store_id"] = store
            case.call_and_validate(headers=admin_headers(), checks=CHECKS)

        holds()
