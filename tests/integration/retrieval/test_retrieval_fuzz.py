"""Schemathesis against the running service."""

from typing import Any

import pytest
import schemathesis
from tests.integration.fuzzing import assert_answers_as_declared

from sluice.testing import admin_headers

pytestmark = pytest.mark.integration


@pytest.mark.timeout(300)
def test_answers_are_as_declared(shared: Any) -> None:
    store = shared.store()
    shared.gateway("http://127.0.0.1:9/v1", "none")  # it keeps the files

    def in_a_store_that_is_there(case: schemathesis.Case) -> None:
        if case.path_parameters and len(str(case.path_parameters.get("store_id", ""))) % 2:
            case.path_parameters["store_id"] = store

    assert_answers_as_declared(
        str(shared.client.base_url).rstrip("/"),
        lambda path: path.startswith(("/v1/", "/internal/")),
        admin_headers(),
        least=15,
        examples=12,
        change=in_a_store_that_is_there,
    )
