"""Every home of vectors, for suites that run over all of them, and points to put there."""

import warnings
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from qdrant_client import AsyncQdrantClient

from sluice.auth import ServiceTokens
from sluice.clients.http import ServiceClient
from sluice.service import create_service
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice.testing import AsgiTransport, platform_settings
from sluice_retrieval.adapters.edge_rankings import EdgeRankings
from sluice_retrieval.adapters.remote import RemoteVectorStore
from sluice_retrieval.adapters.server import ServerVectorStore
from sluice_retrieval.domain.bm25 import (
    Bm25Parameters,
    document_vectors,
    terms,
)
from sluice_retrieval.domain.points import Passage, Point, Scope, VectorStore
from sluice_retrieval.domain.spaces import space_of
from sluice_retrieval.routes import internal
from sluice_retrieval.wiring import WORKER_SUBJECT

SIZE = 8
SPACE = space_of("drawn", SIZE)
STORED = 0.01  # the embedded engine keeps eight bits of a number
PARAMETERS = Bm25Parameters()
TEXTS = (
    "the gateway forwards a request to an engine",
    "the router chooses an engine and tells the gateway",
    "guardrails look at each request before the engine does",
    "retrieval finds chunks and the gateway puts them before the question",
    "feedback on an answer is kept for the next training",
)


class HomeDeps:
    """What the frame and the internal routes need."""

    def __init__(self, vectors: VectorStore, tmp_path: Path) -> None:
        self.platform = platform_settings(tmp_path)
        self.vectors = vectors
        self.registry = MetricRegistry()
        self.tokens = ServiceTokens(self.platform.service_secret.get_secret_value(), "retrieval")
        self.tracing = Tracing("retrieval", self.platform)
        self.probes: dict[str, object] = {}

    async def vectors_of(self, space: str) -> VectorStore:
        assert not space, "one space is all there is"
        return self.vectors


class _Opened:
    def __init__(self, deps: HomeDeps) -> None:
        self.deps = deps

    async def __aenter__(self) -> HomeDeps:
        return self.deps

    async def __aexit__(self, *_: object) -> None:
        """The fixture closes."""


def service_over(deps: HomeDeps) -> FastAPI:
    return create_service("retrieval", lambda: _Opened(deps), [internal.router], title="t", description="d")  # type: ignore[arg-type,return-value]


def client_of(deps: HomeDeps, app: FastAPI, subject: str = WORKER_SUBJECT) -> ServiceClient:
    return ServiceClient("retrieval", "http://test", deps.tokens, AsgiTransport(app), deps.tracing, subject=subject)


@pytest.fixture(params=["edge", "server", "remote"])
async def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    if request.param == "server":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # local mode says that payload indexes do nothing there
            store = ServerVectorStore(AsyncQdrantClient(":memory:"), SPACE)
            yield store
            await store.close()
        return
    edge = await EdgeRankings.open(tmp_path / "vectors", SPACE)
    if request.param == "edge":
        yield edge
    else:
        deps = HomeDeps(edge, tmp_path)
        app = service_over(deps)
        async with app.router.lifespan_context(app):
            client = client_of(deps, app)
            yield RemoteVectorStore(client)
            await client.transport.close()  # type: ignore[attr-defined]
    await edge.close()


def unit(seed: int) -> tuple[float, ...]:
    values = np.random.default_rng(seed).normal(size=SIZE)
    return tuple(float(value) for value in values / np.linalg.norm(values))


def point(
    number: int,
    *,
    tenant: str = "acme",
    store: str = "vs_1",
    document: str = "doc_1",
    text: str = "",
    average: float = 8.0,
) -> Point:
    shown = text or f"passage {number}"
    passage = Passage(
        f"{document}.{number}",
        document,
        store,
        "guide.md",
        "A > B" if number % 2 else None,
        shown,
        number,
        number + len(shown),
    )
    return Point(tenant, passage, unit(number), *document_vectors([terms(shown)], average, PARAMETERS))


def scope(*stores: str, tenant: str = "acme", hidden: Sequence[str] = ()) -> Scope:
    return Scope(tenant, stores or ("vs_1",), tuple(hidden))
