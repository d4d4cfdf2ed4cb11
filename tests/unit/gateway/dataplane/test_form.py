"""Forms: taken in however they are cut, and given out as they came."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_gateway.dataplane.errors import ApiError, BodyTooLarge, Gone
from sluice_gateway.dataplane.form import Form, read_form

TYPE = b"multipart/form-data; boundary=edge"


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--edge\r\nContent-Disposition: {named}\r\nX-Odd:  kept \r\n\r\n".encode() + content + b"\r\n"


class Client:
    """Sends a body in pieces, and may leave before its end."""

    def __init__(self, body: bytes, size: int, *, leaves: bool = False) -> None:
        self.pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        self.leaves = leaves

    async def __call__(self) -> dict[str, Any]:
        if not self.pieces:
            return {"type": "http.disconnect"}
        data = self.pieces.pop(0)
        return {"type": "http.request", "body": data, "more_body": bool(self.pieces) or self.leaves}


async def read(body: bytes, size: int = 1 << 16, limit: int = 1 << 24) -> Form:
    return await read_form(Client(body, size), TYPE, limit)


def sent(form: Form, **changed: str) -> bytes:
    return form.texts_with(changed) + bytes(form.files())


def files_of(body: bytes) -> list[bytes]:
    return re.findall(rb'filename="[^"]*"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--edge', body, re.S)


@settings(max_examples=100)
@given(st.binary(max_size=400), st.text(max_size=40), st.integers(1, 200))
async def test_however_it_is_cut_the_same_goes_on(content: bytes, words: str, size: int) -> None:
    content = content.replace(b"\r\n--edge", b"")
    words = words.encode(errors="ignore").decode().replace("\r\n--edge", "")
    body = (
        part("file", content, filename="a.bin") + part("prompt", words.encode()) + part("model", b"m") + b"--edge--\r\n"
    )
    form = await read(body, size)
    assert form.fields == {"prompt": words, "model": "m"}
    out = sent(form, model="upstream")
    assert files_of(out) == [content]
    assert out.endswith(b"--edge--\r\n")
    again = await read(out)
    assert again.fields == {"prompt": words, "model": "upstream"}
    form.close()
    again.close()


async def test_what_is_too_large_for_memory_lies_in_a_file_and_is_given_out_as_often_as_it_takes() -> None:
    content = bytes(range(256)) * 9000
    form = await read(part("model", b"m") + part("file", content, filename="a") + b"--edge--\r\n")
    first, second = bytes(form.files()), bytes(form.files())
    assert first == second
    assert content in first
    assert form.size == len(first)
    form.close()


@pytest.mark.parametrize(
    ("body", "limit", "status"),
    [
        (part("model", b"m"), 1 << 20, 400),
        (b"", 1 << 20, 400),
        (b"--other\r\n", 1 << 20, 400),
        (part("prompt", b"\xff\xfe") + b"--edge--\r\n", 1 << 20, 400),
        (b"".join(part(f"f{number}", b"x") for number in range(101)) + b"--edge--\r\n", 1 << 20, 400),
        (part("prompt", b"x" * 500_000) + b"--edge--\r\n", 1 << 20, 400),
        (part("file", b"x" * 5000, filename="a") + b"--edge--\r\n", 1000, 413),
    ],
)
async def test_forms_that_are_refused(body: bytes, limit: int, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        await read(body, limit=limit)
    assert refused.value.status == status
    assert isinstance(refused.value, BodyTooLarge) == (status == 413)


@pytest.mark.parametrize("kind", [None, b"application/json", b"multipart/form-data"])
async def test_what_is_no_form_is_415(kind: bytes | None) -> None:
    with pytest.raises(ApiError) as refused:
        await read_form(Client(b"", 10), kind, 1000)
    assert refused.value.status == 415


async def test_a_client_that_leaves_leaves_nothing() -> None:
    with pytest.raises(Gone):
        await read_form(Client(part("file", b"x" * 2_000_000, filename="a"), 1 << 16, leaves=True), TYPE, 1 << 24)
