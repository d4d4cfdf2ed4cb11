"""WebVTT and SubRip: what is said in a video or a recording, under headings that say when."""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from sluice_retrieval.adapters.extract.markdown import Unreadable, Writer, heading, inline
from sluice_retrieval.domain.encodings import ONLY, text_of

_MOMENT = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,]\d{1,3}"
_TIMES = re.compile(rf"^\s*{_MOMENT}\s*-->\s*{_MOMENT}", re.ASCII)
_SPEAKER = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_MARKUP = re.compile(r"</?[A-Za-z0-9][^>\n]*>|\{\\[^}\n]*\}")
_BLANK = re.compile(r"\n[ \t]*\n")
_SENTENCE_END = re.compile(r"[.!?…。！？]['\"”’)]*$")
_SECTION_S, _LONGEST_S = 30, 60  # a section ends with the first sentence after the one, and at the other all the same


class _Cue(NamedTuple):
    """Lines that are shown from a second on."""

    second: int
    lines: tuple[str, ...]


def read_subtitles(raw: bytes, writer: Writer) -> None:
    """Write what is said, a section for each half minute; lines that roll up from one cue to the next are told once."""
    try:
        text = text_of(raw)
    except UnicodeDecodeError as exc:
        raise Unreadable(f"The file is not UTF-8 text: byte {exc.start} cannot be read. {ONLY}") from exc
    began, said = -1, list[str]()
    shown: tuple[str, ...] = ()
    for cue in _cues(text):
        over = cue.second - began
        if said and (over >= _LONGEST_S or (over >= _SECTION_S and _SENTENCE_END.search(said[-1]))):
            _write(writer, began, said)
            said = []
        fresh = [line for line in cue.lines if line not in shown]
        if fresh and not said:
            began = cue.second
        said += fresh
        shown = cue.lines
    if not said and not writer.words:
        raise Unreadable(
            "The file holds no subtitles: there is no line such as `00:01:02.000 --> 00:01:04.000` with words under it."
        )
    _write(writer, began, said)


def _cues(text: str) -> Iterator[_Cue]:
    for block in _BLANK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.split("\n")
        at, match = next(((at, found) for at, line in enumerate(lines) if (found := _TIMES.match(line))), (0, None))
        if match is None:
            continue  # the head of the file, a note, a style
        hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
        spoken = (_plain(line) for line in lines[at + 1 :])
        yield _Cue(3600 * hours + 60 * minutes + seconds, tuple(line for line in spoken if line))


def _plain(line: str) -> str:
    named = _SPEAKER.sub(r"\1: ", line)
    return " ".join(html.unescape(_MARKUP.sub("", named)).split())


def _write(writer: Writer, second: int, said: list[str]) -> None:
    if said:
        writer.add(heading(2, f"{second // 3600}:{second // 60 % 60:02}:{second % 60:02}"), title=True)
        writer.add(inline(" ".join(said)))
