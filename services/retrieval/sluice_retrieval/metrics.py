"""What retrieval measures."""

from prometheus_client import Counter, Gauge, Histogram

from sluice.telemetry.metrics import MetricRegistry, closed

INGEST_STATUS = frozenset({"ready", "failed", "skipped", "retried", "crashed"})


_TEXTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Metrics:
    """The metrics of one process, declared once."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.ingested: Counter = registry.counter(
            "sluice_retrieval_documents_ingested_total", "Ingest runs by how they ended", ("status",)
        )
        self.ingest_seconds: Histogram = registry.histogram(
            "sluice_retrieval_ingest_duration_seconds", "Time to chunk, embed and index one document"
        )
        self.chunks: Counter = registry.counter("sluice_retrieval_chunks_indexed_total", "Chunks written to the index")
        self.points: Gauge = registry.gauge("sluice_retrieval_indexed_chunks", "Chunks in the index, of all tenants")
        self.waiting: Gauge = registry.gauge(
            "sluice_retrieval_waiting_documents", "Documents that are queued or being ingested"
        )
        self.embed_seconds: Histogram = registry.histogram(
            "sluice_retrieval_embed_duration_seconds", "Time of one call to the embedding model", ("lane",)
        )
        self.joined_texts: Histogram = registry.histogram(
            "sluice_retrieval_joined_texts",
            "Texts of questions that shared a call of an embedding model",
            buckets=_TEXTS,
        )
        self.join_limit: Gauge = registry.gauge(
            "sluice_retrieval_join_limit", "How many texts may share a call of an embedding model now", ("model",)
        )
        self.embed_tokens: Counter = registry.counter(
            "sluice_retrieval_embedded_tokens_total", "Tokens that the embedding model read", ("lane",)
        )
        self.embed_cache: Counter = registry.counter(
            "sluice_retrieval_embedding_cache_total", "Texts that were looked for in the cache of vectors", ("outcome",)
        )
        self.reembedded: Counter = registry.counter(
            "sluice_retrieval_reembedded_chunks_total", "Chunks that were given vectors of a new embedding model"
        )
        self.reembed_failures: Counter = registry.counter(
            "sluice_retrieval_reembed_failures_total",
            "Documents that could not be given vectors of a new model at once",
        )
        self.search_seconds: Histogram = registry.histogram(
            "sluice_retrieval_search_duration_seconds", "Time of one search, embedding included", ("mode",)
        )
        self.rerank_failures: Counter = registry.counter(
            "sluice_retrieval_rerank_failures_total", "Searches that the cross-encoder did not rank in time"
        )
        self.rewrite_failures: Counter = registry.counter(
            "sluice_retrieval_rewrite_failures_total", "Questions that the chat model did not rewrite in time"
        )
        self.caption_failures: Counter = registry.counter(
            "sluice_retrieval_caption_failures_total", "Images that the vision model did not describe in time"
        )
        self.transcription_failures: Counter = registry.counter(
            "sluice_retrieval_transcription_failures_total",
            "Parts of recordings that the speech model did not read in time",
        )
        self.resent: Counter = registry.counter(
            "sluice_retrieval_ingest_resent_total", "Ingest jobs that the sweep sent to the queue"
        )
        self.sweep_failures: Counter = registry.counter(
            "sluice_retrieval_sweep_failures_total", "Sweeps that ended early because a dependency was away"
        )


class IngestMetrics:
    """Counts how ingestion goes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def ended(self, status: str, chunks: int, seconds: float) -> None:
        """Count one run."""
        self._metrics.ingested.labels(closed(status, INGEST_STATUS)).inc()
        self._metrics.chunks.inc(chunks)
        if chunks:
            self._metrics.ingest_seconds.observe(seconds)


class MoveMetrics:
    """Counts how a change of the embedding model goes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def moved(self, chunks: int) -> None:
        """Count a document that has vectors of the new model."""
        self._metrics.reembedded.inc(chunks)

    def failed(self) -> None:
        """Count a document that could not be given them now."""
        self._metrics.reembed_failures.inc()
