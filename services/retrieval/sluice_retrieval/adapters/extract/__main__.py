"""The process that parses one file: bytes on standard input, Markdown or a reason on standard output."""

import resource
import sys
import zipfile
from collections.abc import Callable

from sluice_retrieval.adapters.extract.markdown import TooLarge, Unreadable, Writer

UNREADABLE, TOO_LARGE, OUT_OF_MEMORY = 10, 11, 12


def main(arguments: list[str]) -> int:
    """Parse standard input as the format named; the exit status says what standard output holds."""
    file_format = arguments[0]
    max_bytes, max_pages, cpu_s, memory, max_pixels = map(int, arguments[1:6])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        raw = sys.stdin.buffer.read()
        if file_format == "image":
            from sluice_retrieval.adapters.extract.image import read_image  # noqa: PLC0415 - only what a document needs

            return _say(read_image(raw, max_pixels, *arguments[6:]), 0)
        if file_format in ("sound", "pictures"):
            from sluice_retrieval.adapters.extract import media  # noqa: PLC0415 - only what a document needs

            start_s, most = float(arguments[6]), float(arguments[7])
            if file_format == "sound":
                return _say(media.read_sound(raw, start_s, most), 0)
            return _say(media.read_pictures(raw, start_s, int(most), max_pixels), 0)
        writer = Writer(max_bytes)
        _reader(file_format, max_pages)(raw, writer)
        if not writer.words:
            return _say("The file holds no text.", UNREADABLE)
        return _say(writer.text(), 0)
    except Unreadable as exc:
        return _say(str(exc), UNREADABLE)
    except TooLarge as exc:
        return _say(str(exc), TOO_LARGE)
    except MemoryError:
        return OUT_OF_MEMORY
    except (
        ValueError,
        KeyError,
        LookupError,
        TypeError,
        AttributeError,
        SyntaxError,
        OSError,
        zipfile.BadZipFile,
    ) as exc:
        # What parsers raise on broken files; XML errors are SyntaxErrors.
        return _say(f"The file is broken: its {file_format} parser stopped with {type(exc).__name__}.", UNREADABLE)


def _reader(file_format: str, max_pages: int) -> Callable[[bytes, Writer], None]:
    # Each parser is imported only for its own files: a start costs what the file needs.
    if file_format == "html":
        from sluice_retrieval.adapters.extract.web import read_html  # noqa: PLC0415 - only what a document needs

        return read_html
    if file_format == "pdf":
        from sluice_retrieval.adapters.extract.pdf import read_pdf  # noqa: PLC0415 - only what a document needs

        return lambda raw, writer: read_pdf(raw, max_pages, writer)
    if file_format == "subtitles":
        from sluice_retrieval.adapters.extract.subtitles import read_subtitles  # noqa: PLC0415 - only what a document needs

        return read_subtitles
    from sluice_retrieval.adapters.extract import office  # noqa: PLC0415 - only what a document needs

    readers = {"docx": office.read_docx, "pptx": office.read_pptx, "xlsx": office.read_xlsx, "csv": office.read_csv}
    return readers[file_format]


def _say(text: str, status: int) -> int:
    sys.stdout.buffer.write(text.encode())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
