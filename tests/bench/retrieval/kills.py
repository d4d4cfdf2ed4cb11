"""What `kill -9` costs an ingest: python -m tests.bench.retrieval.kills [--kills 50] [--seed 1]

Documents are sent one after the other, each under a name of its own, while the API process (which holds the embedded
vector engine), the worker, both, or Valkey are killed at random moments and started again. A send that got no answer is
repeated under the same name. Readers search all the while. At the end:

- every acknowledged name is there exactly once, `ready`, with as many chunks as its text has;
- a search for a document's own word finds each of its chunks exactly once, and the index holds no chunk more;
- no search ever saw a part of a document.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
from tests.bench.retrieval.parts import Retrieval, running

from sluice.testing import ServiceProcess, admin_headers, service_headers, wait_until

TARGETS = ("api", "worker", "api and worker", "redis")
SENTENCE = "the ferry leaves the harbour at noon and returns before the evening tide comes in again. "


class Sent(NamedTuple):
    """A document: its name, the word that only its chunks hold, and how many chunks it has."""

    name: str
    word: str
    chunks: int

    def text(self) -> str:
        """Return the text: paragraphs of about 100 tokens, so that each becomes a chunk of its own."""
        return "\n\n".join(f"{self.word} part {part}. {SENTENCE * 5}" for part in range(self.chunks))


@dataclass
class Outcome:
    """What was seen; `wrong` is empty if all is well."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    repeated: int = 0
    chunks: int = 0
    looks: int = 0
    complete_looks: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)


class _Run:
    def __init__(self, retrieval: Retrieval, seed: int) -> None:
        self.retrieval = retrieval
        self.dice = random.Random(seed)
        self.outcome = Outcome()
        self.sent: list[Sent] = []
        self.over = threading.Event()
        self.api = retrieval.serve()
        self.worker = retrieval.work()
        self.store = retrieval.store(name="kills", chunking={"max_tokens": 128})

    def send(self) -> None:
        """Send documents until the block is over; what was not acknowledged is sent again."""
        number = 0
        while not self.over.is_set():
            number += 1
            document = Sent(f"doc-{number}.txt", f"word{number}x", 1 + number % 40)
            while not self.over.is_set() and not self._acknowledged(document):
                self.outcome.repeated += 1
                self.over.wait(0.1)
            self.over.wait(0.5)

    def _acknowledged(self, document: Sent) -> bool:
        try:
            self.retrieval.add(self.store, document.name, document.text())
        except httpx.HTTPError:
            return False
        self.sent.append(document)
        return True

    def look(self) -> None:
        """Search for documents until the block is over: all chunks of one are there, or none."""
        dice = random.Random(0)
        with httpx.Client(base_url=self.retrieval.client.base_url, headers=admin_headers(), timeout=20) as client:
            while not self.over.wait(0.05):
                if not self.sent:
                    continue
                document = dice.choice(self.sent)
                try:
                    found = self.chunks_of(client, document)
                except httpx.HTTPError:
                    continue
                self.outcome.looks += 1
                self.outcome.complete_looks += len(found) > 0
                if found and sorted(found.values()) != [1] * document.chunks:
                    self.outcome.wrong.append(f"a search saw {sum(found.values())} of {document.chunks} chunks")

    def chunks_of(self, client: httpx.Client, document: Sent) -> Counter[str]:
        """Count the hits of each chunk that holds the document's word."""
        body = {"query": document.word, "mode": "bm25", "top_k": 50}
        answer = client.post(f"/v1/vector_stores/{self.store}/search", json=body).raise_for_status()
        return Counter(hit["chunk_id"] for hit in answer.json()["data"] if hit["text"].startswith(document.word))

    def kill(self) -> None:
        """Kill one target at a random moment and start it again."""
        target = self.dice.choice(TARGETS)
        time.sleep(self.dice.uniform(0.1, 2.5))
        self.outcome.kills[target] += 1
        if target == "redis":
            self.retrieval.valkey.kill()
            time.sleep(self.dice.uniform(0.0, 0.5))
            self.retrieval.valkey.start()
            return
        if "api" in target:
            self.api.kill()
        if "worker" in target:
            self.worker.kill()
        time.sleep(self.dice.uniform(0.0, 0.5))
        if "api" in target:
            self._up(self.api, self.retrieval.port)
        if "worker" in target:
            self._up(self.worker, self.retrieval.worker_port)

    @staticmethod
    def _up(process: ServiceProcess, port: int) -> None:
        process.start().wait_ready(f"http://127.0.0.1:{port}/readyz", seconds=60)

    def settle(self) -> None:
        """Wait until nothing is on its way any more."""
        started = time.monotonic()

        def all_done() -> bool:
            states = Counter(item["status"] for item in self.listed())
            return set(states) <= {"ready", "failed"}

        wait_until(all_done, seconds=300, every=0.5, what="every document being done")
        self.outcome.slowest_s = time.monotonic() - started

    def listed(self) -> list[dict[str, object]]:
        """Return all documents of the store."""
        found: list[dict[str, object]] = []
        after: dict[str, str] = {}
        while True:
            page = self.retrieval.client.get(
                f"/v1/vector_stores/{self.store}/documents", params={"limit": 100, **after}
            ).raise_for_status()
            found += page.json()["data"]
            if not page.json()["has_more"]:
                return found
            after = {"after": page.json()["last_id"]}

    def check(self) -> None:
        """Compare what is there with what was acknowledged."""
        wrong = self.outcome.wrong
        listed = self.listed()
        by_name = Counter(str(item["name"]) for item in listed)
        for document in self.sent:
            if by_name[document.name] != 1:
                wrong.append(f"{document.name} is there {by_name[document.name]} times")
                continue
            item = next(item for item in listed if item["name"] == document.name)
            if (item["status"], item["chunks"]) != ("ready", document.chunks):
                wrong.append(f"{document.name} is {item['status']} with {item['chunks']} of {document.chunks} chunks")
            found = self.chunks_of(self.retrieval.client, document)
            if sorted(found.values()) != [1] * document.chunks:
                wrong.append(f"a search finds {dict(found)} of {document.name}, which has {document.chunks} chunks")
        expected = sum(int(str(item["chunks"])) for item in listed)
        try:
            wait_until(lambda: self.indexed() == expected, seconds=60, every=0.5, what="the index")
        except AssertionError:
            wrong.append(f"the index holds {self.indexed()} chunks, and the documents have {expected}")
        self.outcome.acknowledged, self.outcome.chunks = len(self.sent), expected

    def indexed(self) -> int:
        """Return how many points of this store the engine holds."""
        headers = service_headers("retrieval", subject="retrieval-worker")
        body = {"tenant": "default", "store_id": self.store}
        answer = self.retrieval.client.post("/internal/points/count", json=body, headers=headers).raise_for_status()
        return int(answer.json()["count"])


def survive(folder: Path, kills: int, seed: int) -> Outcome:
    """Start everything, send, kill, and return what came of it."""
    with running(folder) as retrieval:
        run = _Run(retrieval, seed)
        threads = [threading.Thread(target=run.send), threading.Thread(target=run.look)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, kills + 1):
                run.kill()
                if sys.stderr.isatty() or number % 10 == 0:
                    print(f"{number} kills, {len(run.sent)} documents acknowledged", file=sys.stderr)
            time.sleep(1)
        finally:
            run.over.set()
            for thread in threads:
                thread.join()
        run.settle()
        run.check()
        return run.outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(Path(folder), arguments.kills, arguments.seed)
    kills = ", ".join(f"{count} of {target}" for target, count in sorted(outcome.kills.items()))
    print(f"{sum(outcome.kills.values())} kills ({kills})")
    print(
        f"{outcome.acknowledged} documents with {outcome.chunks} chunks acknowledged, {outcome.repeated} sends repeated"
    )
    print(f"{outcome.looks} searches in between, {outcome.complete_looks} of them saw a whole document")
    print(f"all done {outcome.slowest_s:.0f} s after the last kill")
    print("\n".join(outcome.wrong) or "every acknowledged document is complete exactly once, and none was seen half")
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
