"""Pieces of tool calls as servers stream them, told apart."""

from typing import Any

import pytest

from sluice_gateway.translate.calls import CallNumbers

Piece = dict[str, Any]


def piece(index: int | None = None, identity: str | None = None, name: str | None = None, text: Any = "") -> Piece:
    found: Piece = {"function": {"arguments": text}}
    if name is not None:
        found["function"]["name"] = name
    if index is not None:
        found["index"] = index
    if identity is not None:
        found["id"] = identity
    return found


@pytest.mark.parametrize(
    ("pieces", "numbers"),
    [
        pytest.param(
            [piece(0, "a", "f"), piece(0), piece(0), piece(1, "b", "g"), piece(1)], [0, 0, 0, 1, 1], id="openai"
        ),
        pytest.param([piece(0, "a", "f"), piece(1, "b", "g"), piece(0), piece(1)], [0, 1, 0, 1], id="in turns"),
        pytest.param([piece(0, "a", "f"), piece(0, "b", "g"), piece(0)], [0, 1, 1], id="all have the index 0"),
        pytest.param([piece(None, "a", "f"), piece(None, "b", "g")], [0, 1], id="no index"),
        pytest.param([piece(None, None, "f"), piece(None, None, "g"), piece()], [0, 1, 1], id="neither index nor id"),
        pytest.param([piece(0, "a", "f"), piece(0, "a", "f"), piece(0, "", "")], [0, 0, 0], id="id and name repeated"),
        pytest.param([piece(0, "a", "f"), piece(0, "b"), piece(0, "c")], [0, 0, 0], id="an id for each piece"),
        pytest.param([piece(0, None, "f"), piece(0, "a"), piece(0)], [0, 0, 0], id="a late id"),
        pytest.param([piece(0, "a", "f"), piece(1, "a", "f")], [0, 1], id="one id for two calls"),
        pytest.param([piece(1, "a", "f"), piece(1), piece(3, "b", "g")], [1, 1, 3], id="not from 0 on"),
    ],
)
def test_each_call_has_a_number_of_its_own(pieces: list[Piece], numbers: list[int]) -> None:
    found = CallNumbers()
    assert [found.of(one) for one in pieces] == numbers


def test_what_is_as_openai_writes_it_stays_as_it_is() -> None:
    as_it_came = piece(0, "a", "f", "{}")
    assert CallNumbers().numbered(as_it_came) is as_it_came


def test_arguments_that_are_an_object_become_a_text() -> None:
    assert CallNumbers().numbered(piece(None, "a", "f", {"x": 1})) == piece(0, "a", "f", '{"x":1}')
