"""Subtitles (SubRip, WebVTT): which of their lines are words that somebody said, so that times and numbers stay as they are."""

import re

_LINE_END = re.compile(r"(\r\n|\n|\r)")
_TIME = r"(?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3}"
_SETTING = r"(?:vertical|line|position|size|align|region|[XY][12]):[\w.,%-]{1,20}"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t]+{_SETTING}){{0,9}}[ \t]*")
_NUMBER = re.compile(r"[ \t]*\d{1,6}[ \t]*")
_HEADING = re.compile("\ufeff?WEBVTT[ \t]*")


def cut(body: str) -> tuple[list[str], list[int]]:
    """Return a text in pieces and which of them are words; a text that holds no times is one piece.

    A line is a cue's number where its times follow; all others that are neither blank nor times nor the heading are words.
    """
    parts = _LINE_END.split(body)
    timed = {at for at in range(0, len(parts), 2) if _TIMES.fullmatch(parts[at])}
    if not timed:
        return [body], [0] if body.strip() else []
    said = []
    for at in range(0, len(parts), 2):
        line = parts[at]
        numbers = at + 2 in timed and _NUMBER.fullmatch(line)
        heads = at == 0 and _HEADING.fullmatch(line)
        if line.strip() and at not in timed and not numbers and not heads:
            said.append(at)
    return parts, said
