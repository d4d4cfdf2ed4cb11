"""The OpenAPI documents in docs/openapi/ are what the services serve."""

import json
from pathlib import Path

import pytest

from sluice.settings import OPTIONAL_SERVICES, SERVICES
from sluice.testing import ServiceProcess

DOCS = Path(__file__).resolve().parents[2] / "docs/openapi"
ALL = (*SERVICES, *OPTIONAL_SERVICES)


@pytest.mark.parametrize("service", ALL)
def test_the_snapshot_is_what_the_code_serves(service: str, tmp_path: Path) -> None:
    printed = tmp_path / "openapi.json"
    made = ServiceProcess(f"sluice_{service}", ["openapi"], {}, printed, cwd=tmp_path)
    assert made.start().wait() == 0, printed.read_text()
    fresh = json.loads(printed.read_text())
    assert fresh == json.loads((DOCS / f"{service}.json").read_text()), (
        "the API changed: run `make openapi` and read the diff"
    )


@pytest.mark.parametrize("service", ALL)
def test_every_operation_is_described_and_every_service_has_the_health_endpoints(service: str) -> None:
    document = json.loads((DOCS / f"{service}.json").read_text())
    assert {"/healthz", "/readyz", "/metrics"} <= set(document["paths"])
    silent = [
        f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and not operation.get("summary")
    ]
    assert silent == []


@pytest.mark.parametrize("service", ALL)
def test_documented_errors_have_the_shapes_that_are_answered(service: str) -> None:
    document = json.loads((DOCS / f"{service}.json").read_text())
    assert "HTTPValidationError" not in json.dumps(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                assert "400" in operation["responses"], f"{method} {path} says nothing of a body that is not JSON"
            for status, answer in operation["responses"].items():
                plain = answer.get("content", {}).get("application/json", {})
                assert plain.get("schema") != {"$ref": "#/components/schemas/Problem"}, f"{method} {path} {status}"
