"""Makes a service's OpenAPI document tell the errors that its frame really answers."""

from collections.abc import Iterator
from typing import Any

_PROBLEM_JSON = "application/problem+json"
_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_DRAFTED = "#/components/schemas/HTTPValidationError"


def with_real_errors(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document with the frame's errors in place of FastAPI's draft of them.

    FastAPI writes its own shape for 422, knows nothing of a body that is not JSON (400), and puts the schema of a problem
    under `application/json`.
    """
    for operation in operations(document):
        answers = operation["responses"]
        if is_drafted(answers.get("422", {})):
            answers["422"] = _problem("Invalid request")
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            answers.setdefault("400", _problem("The body is not JSON"))
        for answer in answers.values():
            content = answer.get("content", {})
            if _PROBLEM_JSON in content and "application/json" in content:
                content[_PROBLEM_JSON] = content.pop("application/json")
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)
    return document


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every operation of a document."""
    for path in document["paths"].values():
        yield from (item for item in path.values() if isinstance(item, dict) and "responses" in item)


def is_drafted(answer: dict[str, Any]) -> bool:
    """Tell whether FastAPI made up an answer's shape."""
    content: dict[str, Any] = answer.get("content", {}).get("application/json", {})
    return bool(content.get("schema", {}).get("$ref") == _DRAFTED)


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {_PROBLEM_JSON: {"schema": dict(_PROBLEM_SCHEMA)}}}
