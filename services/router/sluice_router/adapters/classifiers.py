"""The trained classifiers: intent and domain of a text, and how much better a stronger model would answer it."""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np

from sluice.clients.retrieval import RetrievalClient
from sluice.contracts.embeddings import EmbeddingRequest
from sluice.errors import DependencyUnavailable, SluiceError
from sluice_router.adapters.arrays import packed, unpacked
from sluice_router.domain.classify.gain import GainExamples, GainHead, GainTrained, train_gain
from sluice_router.domain.classify.head import READ_CHARS, Floats, Head
from sluice_router.domain.classify.reading import BROKEN, UNTRAINED, Reading
from sluice_router.domain.classify.training import REJECTED_SHARE, Examples, Trained, train
from sluice_router.domain.errors import TrainingRefused
from sluice_router.domain.registry_admin import Trail

_log = logging.getLogger(__name__)
_MODEL = "minilm"
_BATCH = 64
_TRAINING_TIMEOUT_S = 60.0

ClassifierName = Literal["intent", "domain", "difficulty"]


class Shelf(Protocol):
    """Where classifiers are kept, by name. While it is away every method raises DependencyUnavailable; those in use stay."""

    async def hashes(self) -> Mapping[str, str]:
        """Return the SHA-256 of each."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Return one as bytes, None when there is none."""
        ...

    async def save(self, name: str, content: bytes, sha256: str, trail: Trail) -> None:
        """Keep one in place of the earlier one."""
        ...


class Kept(NamedTuple):
    """A training's result and the hash under which it is kept."""

    trained: Trained
    sha256: str


class GainKept(NamedTuple):
    """The same of a training of `difficulty`."""

    trained: GainTrained
    sha256: str


class Read(NamedTuple):
    """What the classifiers say of a text; `gain` None means that `difficulty` gave no answer."""

    classes: Mapping[str, Reading]
    gain: float | None


@dataclass(slots=True)
class Classifiers:
    """Reads texts, and trains.

    Degraded mode: while there is no classifier, what is kept of it is broken, or the retrieval service is away or late, a reading
    is `broken` and routes fall to their candidates.
    """

    retrieval: RetrievalClient
    shelf: Shelf
    timeout_s: float
    least: float
    heads: dict[str, Head] = field(default_factory=dict)
    gain_head: GainHead | None = None
    _known: dict[str, str] = field(default_factory=dict)
    _training: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def load(self) -> None:
        """Take what was trained since the last look, here or by another router; raises DependencyUnavailable."""
        for name, sha256 in (await self.shelf.hashes()).items():
            if self._known.get(name) == sha256:
                continue
            content = await self.shelf.read(name)
            if content is not None:
                self._known[name] = sha256
                self._take(name, content)

    async def look(self, every_s: float) -> None:
        """Look for what other routers trained, until cancelled."""
        while True:
            try:
                await self.load()
            except DependencyUnavailable as exc:
                _log.warning("classifiers cannot be read (%s); those in use stay", exc.detail)
            await asyncio.sleep(every_s)

    async def read(self, wanted: Collection[ClassifierName], text: str, tenant: str) -> Read:
        """Return what the wanted classifiers say; the text is embedded once for all of them."""
        asked = [name for name in wanted if name in self.heads or (name == "difficulty" and self.gain_head is not None)]
        vector = await self._vector(text, tenant) if asked and text.strip() else None
        classes: dict[str, Reading] = {
            name: self._reading(name, text, vector) for name in wanted if name != "difficulty"
        }
        gain = None
        if "difficulty" in wanted and self.gain_head is not None and vector is not None:
            gain = float(self.gain_head.gains(vector[None, :])[0])
        return Read(classes, gain)

    async def train_classes(
        self,
        name: ClassifierName,
        classes: Mapping[str, Sequence[str]],
        strangers: Sequence[str],
        trail: Trail,
        rejected_share: float = REJECTED_SHARE,
    ) -> Kept:
        """Train anew, keep the result and use it from now on; return it with its hash. `rejected_share` sets the floor of what is in scope.

        Raises:
            SluiceError: the retrieval service does not embed, or the examples are too few.
        """
        async with self._training:
            names = tuple(sorted(classes))
            texts = tuple(text for one in names for text in classes[one])
            labels = np.array([place for place, one in enumerate(names) for _ in classes[one]])
            vectors = await self._embedded_all(texts)
            strange = await self._embedded_all(strangers) if strangers else None
            examples = Examples(names, texts, labels, vectors, tuple(strangers), strange)
            try:
                trained = await asyncio.to_thread(train, examples, rejected_share)
            except ValueError as exc:
                raise TrainingRefused(str(exc)) from exc
            return Kept(trained, await self._keep(name, trained.head, trail))

    async def train_difficulty(
        self, texts: Sequence[str], weak: Sequence[float], strong: Sequence[float], trail: Trail
    ) -> GainKept:
        """Train `difficulty` anew, keep the result and use it from now on; raises as `train_classes` does."""
        async with self._training:
            vectors = await self._embedded_all(texts)
            examples = GainExamples(vectors, np.array(weak, dtype=np.float32), np.array(strong, dtype=np.float32))
            try:
                trained = await asyncio.to_thread(train_gain, examples)
            except ValueError as exc:
                raise TrainingRefused(str(exc)) from exc
            return GainKept(trained, await self._keep("difficulty", trained.head, trail))

    def _reading(self, name: str, text: str, vector: Floats | None) -> Reading:
        head = self.heads.get(name)
        if head is None:
            return UNTRAINED
        if not text.strip():
            return Reading("not_confident", head.classes[0], 0.0)
        return BROKEN if vector is None else head.read(text, vector, self.least)

    def _take(self, name: str, content: bytes) -> None:
        try:
            found = unpacked(content)
        except ValueError as exc:
            _log.error("the classifier %s is broken and not used: %s Train it again.", name, exc)
            self.heads.pop(name, None)
            if name == "difficulty":
                self.gain_head = None
            return
        if isinstance(found, GainHead):
            self.gain_head = found
        else:
            self.heads[name] = found

    async def _keep(self, name: str, head: Head | GainHead, trail: Trail) -> str:
        content = await asyncio.to_thread(packed, head)
        sha256 = hashlib.sha256(content).hexdigest()
        await self.shelf.save(name, content, sha256, trail)
        self._known[name] = sha256
        self._take(name, content)  # what other routers use: the weights as they are kept
        return sha256

    async def _vector(self, text: str, tenant: str) -> Floats | None:
        try:
            found = await self._embedded([text[:READ_CHARS]], tenant, self.timeout_s)
        except (SluiceError, ValueError) as exc:
            _log.warning("a text could not be embedded: %s", exc)
            return None
        vector: Floats = found[0]
        return vector

    async def _embedded_all(self, texts: Sequence[str]) -> Floats:
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
