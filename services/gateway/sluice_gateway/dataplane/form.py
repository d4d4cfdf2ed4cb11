"""Multipart bodies of the request path: taken in as they come, kept in memory or a file, and sent on as often as it takes.

Texts are kept apart, so that the model's name and a checked prompt can be put in; files go on byte by byte as they came. What is too
large for memory lies in a file without a name, which is gone with the request, or with the process.
"""

import mmap
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from sluice_gateway.dataplane.asgi import Receive
from sluice_gateway.dataplane.errors import BodyTooLarge, Gone, InvalidRequest, UnsupportedBody

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # a name for type checkers only

_IN_MEMORY = 1024 * 1024
_MOST_TEXT = 400_000
_MOST_PARTS = 100
_MOST_HEAD = 8_192


class _Text(NamedTuple):
    name: str
    head: bytes
    value: str


class Form:
    """One body: its texts by name, and its files."""

    def __init__(self, content_type: str, boundary: bytes) -> None:
        self.content_type = content_type
        self.boundary = boundary
        self.texts: list[_Text] = []
        self.size = 0
        self._memory = bytearray()
        self._file: IO[bytes] | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The texts by their names; of several with one name the last."""
        return {text.name: text.value for text in self.texts}

    def write(self, data: bytes) -> None:
        """Take a piece of the files."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._memory += data
        if len(self._memory) > _IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the request
            self._file.write(self._memory)
            self._memory.clear()

    def texts_with(self, changed: Mapping[str, object]) -> bytes:
        """Return the parts of the texts, with these values in the place of what came."""
        parts = []
        for text in self.texts:
            value = changed.get(text.name, text.value)
            parts.append(b"--%b\r\n%b\r\n%b\r\n" % (self.boundary, text.head, str(value).encode()))
        return b"".join(parts)

    def files(self) -> bytes | memoryview:
        """Return the parts of the files and the end of the body."""
        if self._file is None:
            return bytes(self._memory)
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def close(self) -> None:
        """Forget the files."""
        self._memory.clear()
        if self._file is not None:
            self._file.close()


async def read_form(receive: Receive, content_type: bytes | None, limit: int) -> Form:
    """Read a whole form.

    Raises:
        UnsupportedBody: it is not multipart/form-data.
        InvalidRequest: it cannot be read, ends too early, or has too many or too long parts.
        BodyTooLarge: it is over the limit; the rest is not read.
        Gone: the client went away before it had sent everything.
    """
    kind, options = parse_options_header(content_type or b"")
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UnsupportedBody(
            "Send the request as multipart/form-data, with the boundary in its content type.", param=None
        )
    form = Form((content_type or b"").decode("latin-1"), boundary)
    try:
        await _read(receive, form, limit)
    except (FormParserError, UnicodeDecodeError) as exc:
        form.close()
        raise InvalidRequest("The form cannot be read. Send multipart/form-data.", code="invalid_form") from exc
    except BaseException:
        form.close()
        raise
    return form


async def _read(receive: Receive, form: Form, limit: int) -> None:
    reader = _Reader(form)
    parser = MultipartParser(form.boundary, reader.callbacks())
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        data = message.get("body", b"")
        size += len(data)
        if size > limit:
            raise BodyTooLarge(f"The body is larger than {limit} bytes. Send a shorter one.")
        parser.write(data)
        more = message.get("more_body", False)
    parser.finalize()
    if not reader.ended:
        raise InvalidRequest("The form ends too early. Send it again.", code="invalid_form")


class _Reader:
    """Takes what the parser finds."""

    def __init__(self, form: Form) -> None:
        self.ended = False
        self._form = form
        self._parts = 0
        self._line = [b"", b""]
        self._head = b""
        self._disposition = b""
        self._text: bytearray | None = None
        self._name = ""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidRequest(f"The form has more than {_MOST_PARTS} parts.", code="invalid_form")
        self._head = self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._line[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._line[1] += data[start:end]

    def _header_end(self) -> None:
        name, value = self._line
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._head += b"%b: %b\r\n" % (name, value)
        self._line = [b"", b""]
        if len(self._head) > _MOST_HEAD:
            raise InvalidRequest("A part of the form has too long a head.", code="invalid_form")

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode()
        if b"filename" in options:
            self._text = None
            self._form.write(b"--%b\r\n%b\r\n" % (self._form.boundary, self._head))
        else:
            self._text = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self._form.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > _MOST_TEXT:
            raise InvalidRequest(f"`{self._name[:80]}` is longer than {_MOST_TEXT} bytes.", code="invalid_form")

    def _part_end(self) -> None:
        if self._text is None:
            self._form.write(b"\r\n")
        else:
            self._form.texts.append(_Text(self._name, self._head, self._text.decode()))

    def _end(self) -> None:
        self.ended = True
        self._form.write(b"--%b--\r\n" % self._form.boundary)
