"""What a process loads at its start it keeps until its end: heavy libraries that most never use stay out."""

import subprocess
import sys
from functools import cache

import pytest

SERVICES = ("gateway", "router", "guardrail", "retrieval", "inference", "finetune", "eval", "feedback")
WITH_WORKER = ("gateway", "retrieval", "finetune", "eval")
HEAVY = (
    "alembic",
    "requests",
    "onnxruntime",
    "llvmlite",
    "qdrant_edge",
    "qdrant_client",
    "xllamacpp",
    "pytest",
    "sqlalchemy",
    "jsonschema_rs",
    "llguidance",
)


@cache
def loaded_by(*modules: str) -> frozenset[str]:
    code = f"import sys, {', '.join(modules)}; print(*(n for n in {HEAVY!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_without_what_it_may_never_need(service: str) -> None:
    package = f"sluice_{service}"
    tasks = (f"{package}.tasks",) if service in WITH_WORKER else ()
    assert loaded_by("sluice.main", f"{package}.app", f"{package}.wiring", *tasks) - {"sqlalchemy"} == set()


@pytest.mark.parametrize("service", ["guardrail", "inference"])
def test_a_service_without_a_database_starts_without_sql(service: str) -> None:
    assert "sqlalchemy" not in loaded_by("sluice.main", f"sluice_{service}.app", f"sluice_{service}.wiring")


def test_the_check_would_find_something() -> None:
    assert loaded_by("sluice.migrations") == {"alembic", "sqlalchemy"}
