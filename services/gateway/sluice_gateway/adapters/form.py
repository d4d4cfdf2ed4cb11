"""Reads an upload's form as it arrives: the file goes to disk piece by piece and is never held in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from sluice_gateway.domain.file_errors import FormUnreadable, NotAForm

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # a name for type checkers only

_MAX_FIELD_BYTES = 10_000
_MAX_FIELDS = 16


@dataclass(slots=True)
class UploadForm:
    """What the form held besides the file's content."""

    filename: str = ""
    has_file: bool = False
    fields: dict[str, str] = field(default_factory=dict)


Write = Callable[[bytes], Awaitable[None]]


async def read_upload(content_type: str, body: AsyncIterator[bytes], write: Write) -> UploadForm:
    """Read a form; each piece of the part named `file` is handed to `write` before more is read.

    Raises:
        NotAForm: the body is not multipart/form-data.
        FormUnreadable: the form is broken, ends too early, or has too many or too long fields.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise NotAForm("Send the file as multipart/form-data with the parts `purpose` and `file`.")
    reader = _Reader()
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for chunk in body:
            parser.write(chunk)
            for data in reader.take_file_data():
                await write(data)
        parser.finalize()
    except KeyError as exc:
        raise FormUnreadable("The content type names no boundary.") from exc
    except (FormParserError, UnicodeDecodeError) as exc:
        raise FormUnreadable("The form cannot be read; send multipart/form-data.") from exc
    if not reader.ended:
        raise FormUnreadable("The form ends too early; the upload was cut off.")
    return reader.form


class _Reader:
    """Collects what the parser calls back with."""

    def __init__(self) -> None:
        self.form = UploadForm()
        self.ended = False
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._name: str | None = None
        self._field = bytearray()
        self._file_data: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value_data,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def take_file_data(self) -> list[bytes]:
        data, self._file_data = self._file_data, []
        return data

    def _part_begin(self) -> None:
        self._disposition, self._name = b"", None
        self._field.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_data(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8")
        if self._name == "file" and b"filename" in options:
            if self.form.has_file:
                raise FormUnreadable("The form has two parts named `file`; send one.")
            self.form.has_file = True
            self.form.filename = options[b"filename"].decode("utf-8")
        elif len(self.form.fields) >= _MAX_FIELDS:
            raise FormUnreadable(f"The form has more than {_MAX_FIELDS} fields.")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._file_data.append(data[start:end])
        else:
            self._field += data[start:end]
            if len(self._field) > _MAX_FIELD_BYTES:
                raise FormUnreadable(f"The field {self._name!r} is longer than {_MAX_FIELD_BYTES} bytes.")

    def _part_end(self) -> None:
        if self._name is not None and self._name != "file":
            self.form.fields[self._name] = self._field.decode("utf-8")

    def _end(self) -> None:
        self.ended = True
