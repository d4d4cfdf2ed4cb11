"""What a file may be, and which part of it a Range header wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.domain.file_errors import FormUnreadable, RangeOutside, UnknownPurpose
from sluice_gateway.domain.files import Content, Span, new_file, shown_name, wanted_span

CONTENT = Content(3, "0" * 64)


def test_a_name_is_shown_and_never_a_path() -> None:
    assert shown_name("../../etc/pass\x00wd") == "passwd"
    assert shown_name("C:\\x\\é .jsonl ") == "é .jsonl"
    assert len(shown_name("x" * 999)) == 255
    assert new_file("f", "/", {"purpose": "evals"}, CONTENT, 1.0, 60).filename == "file"


def test_ends() -> None:
    assert new_file("f", "x", {"purpose": "batch"}, CONTENT, 1.9, 60).expires_at == 61
    assert new_file("f", "x", {"purpose": "evals"}, CONTENT, 1.9, 60).expires_at is None
    wish = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    assert new_file("f", "x", wish, CONTENT, 1.9, 60).expires_at == 3601


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, FormUnreadable),
        ({"purpose": "batch_output"}, UnknownPurpose),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, FormUnreadable),
        ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "1"}, FormUnreadable),
        ({"purpose": "batch", "expires_after[anchor]": "x", "expires_after[seconds]": "3600"}, FormUnreadable),
    ],
)
def test_forms_that_cannot_be(fields: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        new_file("f", "x", fields, CONTENT, 1.0, 60)


def test_an_empty_file_is_none() -> None:
    with pytest.raises(FormUnreadable, match="empty"):
        new_file("f", "x", {"purpose": "batch"}, Content(0, ""), 1.0, 60)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=0-", Span(0, 10)),
        ("bytes=3-5", Span(3, 6)),
        ("bytes=9-99", Span(9, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=0-18446744073709551615", Span(0, 10)),
        (f"bytes=0-{'9' * 5000}", None),
        (f"bytes=-{'9' * 5000}", None),
        ("bytes=\u0660-\u0663", None),
    ],
)
def test_ranges(header: str | None, span: Span | None) -> None:
    assert wanted_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_ranges_behind_the_end(header: str) -> None:
    with pytest.raises(RangeOutside) as outside:
        wanted_span(header, 10)
    assert outside.value.headers["Content-Range"] == "bytes */10"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_a_range_is_always_within_the_file(first: int, last: int, size: int) -> None:
    try:
        span = wanted_span(f"bytes={first}-{last}", size)
    except RangeOutside:
        assert first >= size
    else:
        assert span is None or 0 <= span.start < span.stop <= size
