"""Likeness of meaning, by the embeddings of the retrieval service."""

from sluice.clients.retrieval import RetrievalClient
from sluice.contracts.similarity import SimilarityRequest
from sluice.errors import SluiceError
from sluice_eval.domain.runs import NotAnswered
from sluice_eval.domain.scoring import Meaning

_TIMEOUT_S = 30.0


class RetrievalMeaning:
    """The `MeaningReader` port over `POST /v1/similarity`."""

    def __init__(self, client: RetrievalClient) -> None:
        self._client = client

    async def nearest(self, tenant: str, answer: str, meaning: Meaning) -> float:
        """Return the highest cosine of an answer to the texts."""
        body = SimilarityRequest(source=answer, targets=meaning.texts, model=meaning.model)
        try:
            found = await self._client.similarity(body, tenant=tenant, timeout_s=_TIMEOUT_S)
        except SluiceError as exc:
            raise NotAnswered(f"The answer could not be compared by meaning: {exc.detail}") from exc
        return max(one.score for one in found.data)
