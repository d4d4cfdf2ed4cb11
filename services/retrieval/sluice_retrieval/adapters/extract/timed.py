"""Timed text as Markdown."""

from collections.abc import Iterable

from sluice_retrieval.adapters.extract.markdown import Writer, heading, inline
from sluice_retrieval.domain.timed import Line, moment, stretches


def write_timed(writer: Writer, lines: Iterable[Line]) -> None:
    """Write lines in sections; what is said between two pictures is one paragraph, and what each shows another that names its moment."""
    for stretch in stretches(lines):
        writer.add(heading(2, stretch.heading), title=True)
        said: list[str] = []
        for line in stretch.lines:
            if not line.seen:
                said.append(line.text)
                continue
            writer.add(inline(" ".join(said)))
            said = []
            writer.add(inline(f"Seen at {moment(line.start_s)}: {line.text}"))
        writer.add(inline(" ".join(said)))
