"""What people write for the command line: files of YAML or JSON, values, and times."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from sluice_cli.client import Refused, _check
from sluice_cli.moments import moment
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.written import document


def test_a_document_is_what_json_can_hold() -> None:
    found = document(
        "metadata: {released: 2027-01-02, at: 2027-01-02T03:04:05Z, 7: seven}\nweights: [1, 0.5]", "a.yaml"
    )
    assert json.loads(json.dumps(found)) == found
    assert found["metadata"] == {"released": "2027-01-02", "at": "2027-01-02T03:04:05+00:00", "7": "seven"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "stands twice"),
        ("from: 2027-13-01", "is no date"),
        ("a: [", "neither YAML nor JSON"),
        ("a: .nan", "which JSON cannot"),
        ("a: !!set {b}", "which JSON cannot"),
        ("a: !!binary aGk=", "which JSON cannot"),
        ("[" * 5000, "deep"),
    ],
)
def test_what_no_api_takes_is_told_with_its_file(text: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said) as refused:
        document(text, "a.yaml")
    assert "a.yaml" in str(refused.value)


@pytest.mark.parametrize("text", ["2027-01-01", "20270101", "2027-01-01T00:00", "2027-01-01T01:00+01:00", "1798761600"])
def test_a_time_may_be_written_in_many_ways(text: str) -> None:
    assert moment("--from", text) == datetime(2027, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "said"), [("2027", "may be a year"), ("20271301", "no date or time"), ("x", "no date")]
)
def test_what_may_be_a_year_is_no_second_of_1970(text: str, said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        moment("--from", text)


@pytest.mark.parametrize("body", ['"no"', "[1]", "no", "7"])
def test_an_error_that_is_no_object_is_told_as_it_came(body: str) -> None:
    answer = httpx.Response(502, text=body, request=httpx.Request("GET", "http://gateway/v1/usage"))
    with pytest.raises(Refused) as refused:
        _check(answer)
    assert body in str(refused.value)
