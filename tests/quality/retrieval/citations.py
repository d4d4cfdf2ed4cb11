"""Are citations exact? python -m tests.quality.retrieval.citations [--answers 1000] [--seed 0]

Documents of every format are made from sentences that are known, ingested by the real service and worker, and asked about
through a real gateway with the official client: half of the answers streamed. The provider behind the gateway is the
simulator; it cites every number that the evidence could have. Of each answer it is checked that

- every citation's `quote` equals characters `start` to `end` of the document's text, as the API gives it;
- the words of the quote stand in the document that was sent, one after the other (markup aside), so that the text itself
  is the file's: PDF, Word, PowerPoint and Excel included;
- a text or Markdown file's quote stands at these offsets of the file as it was sent;
- each annotation names its citation at the right characters of the answer.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import openai
from tests.bench.retrieval import files
from tests.bench.retrieval.parts import Retrieval, running
from tests.simulators.openai_provider import Behaviour, Provider

from sluice.testing import wait_until

MODEL = "simulated"
ANSWER = "As written [1], and also [2][3]. Compare [4] with [5], but not [99]."
MARK = re.compile(r"\[(\d+)\]")
WORD = re.compile(r"\w+")
PLACES = ["Oslo", "Bergen", "Turku", "Vaasa", "Riga", "Tartu", "Gdynia", "Lübeck", "Ystad", "Malmö"]
THINGS = ["ferry", "pilot", "crane", "buoy", "harbour", "lighthouse", "tug", "pontoon", "winch", "anchor"]
UNUSUAL = ["café “Größe” costs 5 € – naïve 🛳️ sailors", "日本の港 and Ελλάδα", "a\u0301ccented e\u0301tude", "tab\there"]


class Made(NamedTuple):
    """A file: its name, its bytes, and the words that it holds in order."""

    name: str
    raw: bytes
    words: list[str]
    exact: str | None


def sentences(number: int, *, plain: bool) -> list[str]:
    """Return a document's sentences; those of formats with a full character set hold unusual characters too."""
    found = []
    for at in range(24):
        place, thing = PLACES[(number + at) % 10], THINGS[(3 * number + at) % 10]
        place = place.encode("ascii", "ignore").decode() if plain else place
        found.append(f"In {place} the {thing} number {100 * number + at} is checked every {2 + at % 9} days.")
        if not plain and at % 6 == 5:
            found.append(f"Note {number}: {UNUSUAL[(number + at) % len(UNUSUAL)]}.")
    return found


def made_files(seed: int) -> list[Made]:
    """Return five documents of each format; each seed has others."""
    found = []
    for number in range(5 * seed, 5 * seed + 5):
        plain, rich = sentences(number, plain=True), sentences(number, plain=False)
        titled = [(f"Part {at // 6}", rich[at : at + 6]) for at in range(0, len(rich), 6)]
        words = [word for title, lines in titled for text in (title, *lines) for word in WORD.findall(text)]
        text = "\r\n\r\n".join(rich) if number % 2 else "\n".join(rich)
        markdown = "\n\n".join(f"## {title}\n\n{' '.join(lines)}" for title, lines in titled)
        page = "".join(f"<h2>{title}</h2><p>{'</p><p>'.join(lines)}</p>" for title, lines in titled)
        rows: list[list[object]] = [["Sentence", "Number"], *([line, 7 * at] for at, line in enumerate(plain))]
        table = "\n".join(f'"{line}",{7 * at}' for at, line in enumerate(plain))
        row_words = [w for line in plain for w in WORD.findall(line)]
        found += [
            Made(f"note-{number}.txt", text.encode(), WORD.findall(text), text),
            Made(f"guide-{number}.md", markdown.encode(), words, markdown),
            Made(f"page-{number}.html", f"<html><body>{page}</body></html>".encode(), words, None),
            Made(f"scan-{number}.pdf", files.pdf_file([plain[:12], plain[12:]]), row_words, None),
            Made(f"letter-{number}.docx", files.word_file(titled), words, None),
            Made(f"talk-{number}.pptx", files.slides_file(titled), words, None),
            Made(f"list-{number}.xlsx", files.workbook_file([("Checks", rows)]), row_words, None),
            Made(f"rows-{number}.csv", f"Sentence,Number\n{table}\n".encode(), row_words, None),
        ]
    return found


@dataclass
class Outcome:
    """What was seen."""

    answers: int = 0
    streamed: int = 0
    citations: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    annotations: int = 0
    wrong: list[str] = field(default_factory=list)


def ingested(retrieval: Retrieval, made: Sequence[Made]) -> str:
    """Return a store that holds all files."""
    store = retrieval.store(name="citations", chunking={"strategy": "sentence", "max_tokens": 64, "overlap_tokens": 20})
    path = f"/v1/vector_stores/{store}/documents"
    for one in made:
        answer = retrieval.client.post(path, files={"file": (one.name, one.raw)})
        assert answer.status_code == 202, f"{one.name}: {answer.text}"

    def all_ready() -> bool:
        return len(retrieval.documents(store, status="ready")) == len(made)

    wait_until(all_ready, seconds=300, every=0.5, what="all files being ready")
    return store


class Check:
    """Compares answers with the sources."""

    def __init__(self, retrieval: Retrieval, made: Sequence[Made], outcome: Outcome) -> None:
        self._retrieval = retrieval
        self._sources = {one.name: one for one in made}
        self._runs = {one.name: " ".join(one.words) for one in made}
        self._texts: dict[str, str] = {}
        self._outcome = outcome

    def answer(self, text: str, citations: Sequence[dict[str, Any]], notes: Sequence[Any] | None) -> None:
        """Check one answer; `notes` are its annotations, None for a stream."""
        for citation in citations:
            self._citation(citation)
        if notes is None:
            return
        known = {citation["index"]: citation for citation in citations}
        expected = [match for match in MARK.finditer(text) if int(match.group(1)) in known]
        places = [(note.url_citation.start_index, note.url_citation.end_index) for note in notes]
        if places != [match.span() for match in expected]:
            self._outcome.wrong.append(f"annotations stand at {places}")
        for note in notes:
            index = int(text[note.url_citation.start_index + 1 : note.url_citation.end_index - 1])
            if note.url_citation.url != f"urn:sluice:chunk:{known[index]['chunk_id']}":
                self._outcome.wrong.append(f"an annotation of [{index}] names {note.url_citation.url}")
        self._outcome.annotations += len(notes)

    def _citation(self, citation: dict[str, Any]) -> None:
        source, quote = self._sources[citation["source"]], citation["quote"]
        suffix = source.name.rpartition(".")[2]
        self._outcome.citations[suffix] += 1
        self._outcome.truncated += citation["truncated"]
        text = self._text(citation)
        if not quote or text[citation["start"] : citation["end"]] != quote:
            self._outcome.wrong.append(f"{source.name}: {quote!r} is not at {citation['start']}")
        if source.exact is not None and source.exact[citation["start"] : citation["end"]] != quote:
            self._outcome.wrong.append(f"{source.name}: {quote!r} is not in the file at {citation['start']}")
        if any(" ".join(WORD.findall(line)) not in self._runs[source.name] for line in _lines(suffix, quote)):
            self._outcome.wrong.append(f"{source.name} does not hold {quote!r}")

    def _text(self, citation: dict[str, Any]) -> str:
        document = citation["document_id"]
        if document not in self._texts:
            path = f"/v1/vector_stores/{citation['vector_store_id']}/documents/{document}/content"
            self._texts[document] = self._retrieval.client.get(path).raise_for_status().json()["text"]
        return self._texts[document]


def _lines(suffix: str, quote: str) -> list[str]:
    """Return what the file has in one piece: of tables the sentence in each row, else the whole quote."""
    if suffix in ("xlsx", "csv"):
        return re.findall(r"Sentence: ([^;]*?)(?:;|$)", quote, re.MULTILINE)
    if suffix == "pdf":
        return [line for line in quote.splitlines() if not line.startswith("#")]
    return [re.sub(r"^# Slide \d+: ", "", quote)]


async def ask(client: openai.AsyncOpenAI, store: str, number: int, check: Check, outcome: Outcome, seed: int) -> None:
    """Ask one question, streamed or not."""
    question = (
        f"How often is the {THINGS[number % 10]} number {500 * seed + number % 500} in {PLACES[number % 7]} checked?"
    )
    options = {"vector_store_ids": [store], "top_k": 5, "mode": ("hybrid", "dense", "bm25")[number % 3]}
    messages: Any = [{"role": "user", "content": question}]
    extra = {"sluice": {"retrieval": options}}
    outcome.answers += 1
    if number % 2:
        outcome.streamed += 1
        text, last = "", None
        async for chunk in await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, extra_body=extra
        ):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            last = chunk
        assert last is not None
        check.answer(text, (last.model_extra or {})["sluice"]["citations"], None)
        return
    answer = await client.chat.completions.create(model=MODEL, messages=messages, extra_body=extra)
    message = answer.choices[0].message
    check.answer(message.content or "", (answer.model_extra or {})["sluice"]["citations"], message.annotations or [])


async def measure(folder: Path, answers: int, seed: int) -> Outcome:
    """Start everything, ask, and return what was seen."""
    outcome, made = Outcome(), made_files(seed)
    with running(folder) as retrieval:
        retrieval.serve()
        retrieval.work()
        store = await asyncio.to_thread(ingested, retrieval, made)
        async with Provider(default=Behaviour(text=ANSWER)) as provider:
            gateway = await asyncio.to_thread(retrieval.gateway, provider.base_url, MODEL)
            check = Check(retrieval, made, outcome)
            async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
                for first in range(0, answers, 4):
                    numbers = range(first, min(first + 4, answers))
                    await asyncio.gather(*(ask(client, store, number, check, outcome, seed) for number in numbers))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="which documents and questions")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(measure(Path(folder), arguments.answers, arguments.seed))
    total = sum(outcome.citations.values())
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(outcome.citations.items()))
    print(f"{outcome.answers} answers, {outcome.streamed} of them streamed")
    print(
        f"{total} citations ({kinds}), {outcome.truncated} of them of a shortened chunk; {outcome.annotations} annotations"
    )
    print("\n".join(outcome.wrong[:20]) or "every quote equals the source at its offsets")
    sys.exit(bool(outcome.wrong) or total < outcome.answers)


if __name__ == "__main__":
    main()
