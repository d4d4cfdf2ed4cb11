"""The retrieval application."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_retrieval.routes import (
    documents,
    embedding_models,
    embeddings,
    files,
    images,
    internal,
    memories,
    reranking,
    search,
    similarity,
    stores,
    tables,
)


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` is entered when it starts."""
    return create_service(
        "retrieval",
        open_deps,
        [
            search.router,  # first: routes are tried one after the other
            stores.router,
            documents.router,
            tables.router,
            images.router,
            files.router,
            files.forgetting,
            embeddings.router,
            similarity.router,
            reranking.router,
            embedding_models.router,
            memories.router,
            internal.router,
        ],
        title="Sluice retrieval",
        description="Vector stores, documents, embeddings, hybrid search, and context with citations.",
    )
