"""WebVTT and SubRip: what is said in a video or a recording, under headings that say when."""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from sluice_retrieval.adapters.extract.markdown import Unreadable, Writer
from sluice_retrieval.adapters.extract.timed import write_timed
from sluice_retrieval.domain.encodings import ONLY, text_of
from sluice_retrieval.domain.timed import Line

_MOMENT = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_MOMENT}\s*-->\s*{_MOMENT}", re.ASCII)
_SPEAKER = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"</?[A-Za-z0-9][^>\n]*>|\{\\[^}\n]*\}")
_BLANK = re.compile(r"\n[ \t]*\n")


class _Cue(NamedTuple):
    """Lines that are shown from one second to another."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def read_subtitles(raw: bytes, writer: Writer) -> None:
    """Write what is said, a section for each half minute; lines that roll up from one cue to the next are told once."""
    try:
        text = text_of(raw)
    except UnicodeDecodeError as exc:
        raise Unreadable(f"The file is not UTF-8 text: byte {exc.start} cannot be read. {ONLY}") from exc
    write_timed(writer, _said(text))
    if not writer.words:
        raise Unreadable(
            "The file holds no subtitles: there is no line such as `00:01:02.000 --> 00:01:04.000` with words under it."
        )


def _said(text: str) -> Iterator[Line]:
    shown: tuple[str, ...] = ()
    for cue in _cues(text):
        if fresh := [line for line in cue.lines if line not in shown]:
            yield Line(cue.start_s, cue.end_s, " ".join(fresh))
        shown = cue.lines


def _cues(text: str) -> Iterator[_Cue]:
    for block in _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.split("\n")
        at, match = next(((at, found) for at, line in enumerate(lines) if (found := _TIMES.match(line))), (0, None))
        if match is None:
            continue  # the head of the file, a note, a style
        spoken = (_plain(line) for line in lines[at + 1 :])
        times = match.groups()
        yield _Cue(_second(*times[:4]), _second(*times[4:]), tuple(line for line in spoken if line))


def _second(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(f"{seconds}.{fraction}")


def _plain(line: str) -> str:
    named = _SPEAKER.sub(r"\1: ", line)
    return " ".join(html.unescape(_MARKUP.sub("", named)).split())
