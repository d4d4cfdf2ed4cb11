"""The intent of a request: the trained classifier, with embeddings of the retrieval service."""

import asyncio
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sluice.clients.retrieval import RetrievalClient
from sluice.contracts.retrieval import EmbeddingRequest
from sluice.errors import SluiceError
from sluice_router.adapters import head_file
from sluice_router.adapters.intents_file import IntentsFile
from sluice_router.domain.classify.head import READ_CHARS, Floats, Head
from sluice_router.domain.classify.reading import BROKEN, Reading
from sluice_router.domain.classify.training import Examples, Trained, train
from sluice_router.domain.errors import TrainingRefused

_log = logging.getLogger(__name__)
_MODEL = "minilm"
_BATCH = 64
_TRAINING_TIMEOUT_S = 60.0


class Kept(NamedTuple):
    """A training's result and the hash of the file that holds it."""

    trained: Trained
    sha256: str


@dataclass(slots=True)
class Intents:
    """Classifies texts, and trains.

    Degraded mode: while there is no classifier, its file is broken, or the retrieval service is away or late, the reading is
    `broken` and routes fall to their candidates.
    """

    retrieval: RetrievalClient
    path: Path
    timeout_s: float
    least: float
    head: Head | None = None
    _training: asyncio.Lock = field(default_factory=asyncio.Lock)

    def load(self) -> None:
        """Take the classifier of the last training, if there is one."""
        try:
            self.head = head_file.load(self.path)
        except FileNotFoundError:
            self.head = None
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as exc:
            _log.error("the intent classifier cannot be read and is not used: %s", exc)
            self.head = None

    async def read(self, text: str, tenant: str) -> Reading:
        """Return the intent of a text."""
        head = self.head
        if head is None:
            return BROKEN
        if not text.strip():
            return Reading("not_confident", head.classes[0], 0.0)
        try:
            found = await self._embedded([text[:READ_CHARS]], tenant, self.timeout_s)
            return head.read(text, found[0], self.least)
        except (SluiceError, ValueError) as exc:
            _log.warning("a text could not be classified: %s", exc)
            return BROKEN

    async def train(self, file: IntentsFile) -> Kept:
        """Train anew, keep the result and use it from now on; return it with the hash of its file.

        Raises:
            SluiceError: the retrieval service does not embed, or the examples are too few.
        """
        async with self._training:
            classes = tuple(sorted(file.intents))
            texts = tuple(text for name in classes for text in file.intents[name])
            labels = np.array([place for place, name in enumerate(classes) for _ in file.intents[name]])
            vectors = await self._all_embedded(texts)
            strange = await self._all_embedded(file.out_of_scope) if file.out_of_scope else None
            examples = Examples(classes, texts, labels, vectors, file.out_of_scope, strange)
            try:
                trained = await asyncio.to_thread(train, examples)
            except ValueError as exc:
                raise TrainingRefused(str(exc)) from exc
            try:
                kept = await asyncio.to_thread(head_file.save, trained.head, self.path)
            except OSError as exc:
                said = f"The classifier cannot be kept in {self.path} ({exc.strerror}). Give the router a SLUICE_DATA_DIR that it may write."
                raise TrainingRefused(said) from exc
            self.head = trained.head
            return Kept(trained, kept)

    async def _all_embedded(self, texts: tuple[str, ...]) -> Floats:
        parts = [
            await self._embedded(
                [text[:READ_CHARS] for text in texts[start : start + _BATCH]], "default", _TRAINING_TIMEOUT_S
            )
            for start in range(0, len(texts), _BATCH)
        ]
        return np.concatenate(parts)

    async def _embedded(self, texts: list[str], tenant: str, timeout_s: float) -> Floats:
        body = EmbeddingRequest(model=_MODEL, input=tuple(texts))
        reply = await self.retrieval.embed(body, tenant=tenant, timeout_s=timeout_s)
        return np.array([item.embedding for item in reply.data], dtype=np.float32)
