"""The typed client of the retrieval service."""

from dataclasses import dataclass
from urllib.parse import quote

from sluice.clients.http import ServiceClient
from sluice.contracts.embeddings import EmbeddingReply, EmbeddingRequest
from sluice.contracts.paging import Page
from sluice.contracts.retrieval import (
    ContextReply,
    ContextRequest,
    Deleted,
    Document,
    DocumentCreate,
    DocumentStatus,
    SearchReply,
    VectorStore,
    VectorStoreCreate,
)
from sluice.contracts.searching import SearchRequest
from sluice.contracts.similarity import SimilarityReply, SimilarityRequest

_STORES = "/v1/vector_stores"


@dataclass(frozen=True, slots=True)
class RetrievalClient:
    """Vector stores, documents, search, context and embeddings of one tenant at a time.

    There is no answer to go on without: when the service is away the error reaches the caller, whose policy says
    whether a request goes on without evidence.
    """

    http: ServiceClient

    async def create_store(self, body: VectorStoreCreate, *, tenant: str) -> VectorStore:
        """Make a vector store."""
        return await self.http.request("POST", _STORES, body, reply=VectorStore, tenant=tenant)

    async def stores(self, *, tenant: str, limit: int = 20, after: str | None = None) -> Page[VectorStore]:
        """Return a page of vector stores, newest first."""
        path = _paged(_STORES, limit, after)
        return await self.http.request("GET", path, reply=Page[VectorStore], tenant=tenant)

    async def store(self, store_id: str, *, tenant: str) -> VectorStore:
        """Return one vector store."""
        return await self.http.request("GET", f"{_STORES}/{store_id}", reply=VectorStore, tenant=tenant)

    async def delete_store(self, store_id: str, *, tenant: str) -> Deleted:
        """Delete a vector store with its documents."""
        return await self.http.request("DELETE", f"{_STORES}/{store_id}", reply=Deleted, tenant=tenant)

    async def add_document(self, store_id: str, body: DocumentCreate, *, tenant: str) -> Document:
        """Store a document and queue its ingestion; a repetition replaces the document, so it may be tried again."""
        path = f"{_STORES}/{store_id}/documents"
        return await self.http.request("POST", path, body, reply=Document, tenant=tenant, idempotent=True)

    async def documents(
        self,
        store_id: str,
        *,
        tenant: str,
        limit: int = 20,
        after: str | None = None,
        status: DocumentStatus | None = None,
    ) -> Page[Document]:
        """Return a page of a store's documents, newest first."""
        path = _paged(f"{_STORES}/{store_id}/documents", limit, after) + (f"&status={status}" if status else "")
        return await self.http.request("GET", path, reply=Page[Document], tenant=tenant)

    async def document(self, store_id: str, document_id: str, *, tenant: str) -> Document:
        """Return one document."""
        path = f"{_STORES}/{store_id}/documents/{document_id}"
        return await self.http.request("GET", path, reply=Document, tenant=tenant)

    async def delete_document(self, store_id: str, document_id: str, *, tenant: str) -> Deleted:
        """Delete a document."""
        path = f"{_STORES}/{store_id}/documents/{document_id}"
        return await self.http.request("DELETE", path, reply=Deleted, tenant=tenant)

    async def forget_file(self, file_id: str, *, tenant: str) -> Deleted:
        """Take a file out of all of a tenant's stores; one that is in none is no error."""
        path = f"/internal/files/{quote(file_id, safe='')}"
        return await self.http.request("DELETE", path, reply=Deleted, tenant=tenant, idempotent=True)

    async def search(
        self, store_id: str, body: SearchRequest, *, tenant: str, timeout_s: float | None = None
    ) -> SearchReply:
        """Return the chunks that match best."""
        path = f"{_STORES}/{store_id}/search"
        return await self.http.request(
            "POST", path, body, reply=SearchReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def context(self, body: ContextRequest, *, tenant: str, timeout_s: float | None = None) -> ContextReply:
        """Return evidence for a question with its citations."""
        return await self.http.request(
            "POST", "/v1/context", body, reply=ContextReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def embed(self, body: EmbeddingRequest, *, tenant: str, timeout_s: float | None = None) -> EmbeddingReply:
        """Return one vector for each text."""
        return await self.http.request(
            "POST", "/v1/embeddings", body, reply=EmbeddingReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def similarity(
        self, body: SimilarityRequest, *, tenant: str, timeout_s: float | None = None
    ) -> SimilarityReply:
        """Return how alike texts or vectors are."""
        return await self.http.request(
            "POST", "/v1/similarity", body, reply=SimilarityReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )


def _paged(path: str, limit: int, after: str | None) -> str:
    return f"{path}?limit={limit}" + (f"&after={after}" if after else "")
