"""Retrieval's own settings."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class EmbeddingEndpoint(BaseModel):
    """An embedding model behind OpenAI's `POST /embeddings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$", description="name under which it answers here")
    url: str = Field(min_length=1, description="base URL of its API, which ends in /v1")
    model: str = Field("", description="its name there, if it is another one")
    dimensions: int = Field(ge=1, le=65_536, description="numbers of a vector")
    api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    batch_size: int = Field(64, ge=1, le=2048, description="texts in one request")
    at_once: int = Field(4, ge=1, le=64, description="requests beside each other")
    timeout_s: float = Field(30, gt=0, le=600, description="seconds that one request may take")
    retries: int = Field(4, ge=0, le=10, description="how often a request is repeated that failed for a while")
    join: int = Field(
        32, ge=1, le=2048, description="texts of questions that come at the same time and share a request; 1: none"
    )
    join_wait_ms: float = Field(
        10, ge=0, le=1000, description="how long a text waits for others while the model is busy"
    )
    join_target_ms: float = Field(
        0,
        ge=0,
        le=60_000,
        description="the number of texts is tuned so that a request takes no longer; 0: it stays `join`",
    )
    normalize: bool = Field(
        default=True,
        description="bring vectors to length 1; false keeps the model's own lengths, which dot products and distances then see",
    )
    send_dimensions: bool = Field(
        default=False, description="ask for vectors of `dimensions` numbers, where the model can"
    )


class RetrievalSettings(ServiceSettings):
    """Variables start with SLUICE_RETRIEVAL_."""

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_RETRIEVAL_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    port: int = Field(8083, ge=0, le=65535, description="port of the REST API")
    worker_port: int = Field(8183, ge=0, le=65535, description="port of the worker's health and metrics")
    worker_concurrency: int = Field(4, ge=1, le=32, description="documents that one worker ingests at once")
    worker_niceness: int = Field(
        5, ge=0, le=19, description="how far the worker stands behind other processes while processors are short (nice)"
    )
    qdrant_api_key: SecretStr = Field(SecretStr(""), description="API key of the Qdrant server, if it asks for one")
    max_document_bytes: int = Field(5 * 1024 * 1024, ge=1, description="largest document, in UTF-8 bytes")
    parse_max_pages: int = Field(2000, ge=1, description="most pages of a PDF")
    parse_cpu_s: int = Field(20, ge=1, le=600, description="processor seconds that parsing one file may take")
    parse_memory_mb: int = Field(1024, ge=256, description="MiB of address space that parsing one file may take")
    parse_at_once: int = Field(
        2, ge=1, le=32, description="files that are parsed beside each other, and recordings that are taken in"
    )
    image_max_pixels: int = Field(40_000_000, ge=1, description="most pixels of an image")
    image_text: bool = Field(default=True, description="read text in images where the program tesseract is installed")
    image_text_languages: str = Field(
        "eng", pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$", description="tesseract's languages, such as eng+deu"
    )
    caption_url: str = Field(
        "", description="base URL of a vision model's API, which ends in /v1 (POST /chat/completions); empty: none"
    )
    caption_model: str = Field("", description="the vision model that describes images which come without a caption")
    caption_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    caption_timeout_s: float = Field(
        20.0, gt=0, le=300, description="an image stays without a caption when the model has not answered after so long"
    )
    transcription_url: str = Field(
        "",
        description="base URL of a speech model's API, which ends in /v1 (POST /audio/transcriptions): recordings and videos are read; empty: none",
    )
    transcription_model: str = Field(
        "", description="the speech model that writes down what is said in recordings and videos"
    )
    transcription_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    transcription_timeout_s: float = Field(
        180.0, gt=0, le=3600, description="seconds that a part of a recording, of ten minutes at most, may take"
    )
    transcription_max_bytes: int = Field(25_000_000, ge=100_000, description="largest file that the speech model takes")
    max_recording_bytes: int = Field(100 * 1024 * 1024, ge=1, description="largest recording or video")
    video_pictures: int = Field(
        60,
        ge=0,
        le=1000,
        description="pictures of a video, ten seconds or more apart, that the vision model of `caption_url` describes; 0: none",
    )
    image_embedding_url: str = Field(
        "",
        description="base URL of a multimodal embedding model's API, which ends in /v1 (POST /embeddings); empty: none",
    )
    image_embedding_model: str = Field("", description="its name there")
    image_embedding_dimensions: int = Field(512, ge=1, le=65_536, description="numbers of its vectors")
    image_embedding_api: Literal["jina", "vllm"] = Field(
        "jina",
        description="how images are sent: Jina's way (`image` in `input`), or vLLM's (`messages` with `image_url`)",
    )
    image_embedding_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    image_embedding_timeout_s: float = Field(
        5.0, gt=0, le=300, description="seconds that one image or question may take"
    )
    table_query_memory_mb: int = Field(256, ge=64, description="MiB of memory that one query over a table may take")
    table_query_timeout_s: float = Field(5.0, gt=0, le=60, description="seconds that one query over a table may take")
    embedding_model: str = Field(
        "minilm",
        min_length=1,
        description="the model that documents are searched by; after a change they are embedded again while the old vectors answer",
    )
    embedding_models: tuple[EmbeddingEndpoint, ...] = Field(
        (),
        max_length=16,
        description="further embedding models, as JSON: a list of `name`, `url`, `dimensions` and, if need be, `model`, `api_key`, "
        "`batch_size`, `at_once`, `timeout_s`, `retries`, `send_dimensions`, `normalize`, `join`, `join_wait_ms`, `join_target_ms`",
    )
    embed_threads: int = Field(
        1, ge=1, le=64, description="threads over which the texts of one run of the built-in model are shared out"
    )
    embed_batch_tokens: int = Field(512, ge=256, description="most tokens in one run of the built-in model")
    embed_max_inputs: int = Field(2048, ge=1, description="most inputs in one embeddings request")
    embed_max_tokens: int = Field(65_536, ge=256, description="most tokens in one embeddings request")
    huge_pages: bool = Field(
        default=True,
        description="put what the API process has loaded into huge pages, where Linux leaves that to each process: a question is embedded "
        "sooner, for some MiB of memory",
    )
    embed_cache_vectors: int = Field(
        100_000, ge=0, description="vectors kept on disk of texts that were embedded before; 0: none"
    )
    worker_model_idle_s: float = Field(
        120, ge=0, description="the worker frees the embedding model after so many seconds without work; 0 keeps it"
    )
    vector_graph_from: int = Field(
        0,
        ge=0,
        description="embedded vectors: from so many chunks on each start builds a graph (HNSW), in which searches are approximate; 0: all are compared",
    )
    vector_memory_mb: int = Field(
        256,
        ge=0,
        description="embedded vectors: MiB for vectors of documents that filters choose, which are compared in memory by processors with AVX2; 0: none",
    )
    bm25_k1: float = Field(1.2, ge=0, le=10, description="BM25: how much repeating a term adds")
    bm25_b: float = Field(0.75, ge=0, le=1, description="BM25: how much a long chunk is held against it")
    hybrid_rrf_k: int = Field(2, ge=1, le=1000, description="hybrid search: the smaller, the more first ranks count")
    hybrid_bm25_weight: float = Field(
        0.5, gt=0, le=10, description="hybrid search: weight of BM25's ranking beside 1 for the dense one"
    )
    file_timeout_s: float = Field(60, gt=0, le=600, description="seconds to read one file from the gateway")
    rerank_url: str = Field(
        "", description="base URL of a cross-encoder's API, which ends in /v1 (POST /rerank); empty: none"
    )
    rerank_model: str = Field("", description="the cross-encoder's name there")
    rerank_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    rerank_timeout_s: float = Field(
        2.0, gt=0, le=60, description="the feature reranker ranks when the cross-encoder has not answered after so long"
    )
    rewrite_url: str = Field(
        "", description="base URL of a chat model's API, which ends in /v1 (POST /chat/completions); empty: none"
    )
    rewrite_model: str = Field(
        "", description="the chat model that rewrites follow-ups, unless a request names another"
    )
    rewrite_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    rewrite_timeout_s: float = Field(
        3.0, gt=0, le=60, description="rules rewrite when the chat model has not answered after so long"
    )
    lease_s: float = Field(12, gt=0, description="a worker that is silent for so long has lost its document")
    resend_s: float = Field(300, gt=0, description="a queued document is sent again after so long")
    sweep_s: float = Field(
        2, gt=0, description="pause between two sweeps for documents that wait; five times as long while none does"
    )
    max_attempts: int = Field(
        8, ge=1, description="a document is given up after so many runs in a row that ended without indexing anything"
    )

    @model_validator(mode="after")
    def _knows_its_models(self) -> Self:
        names = ["minilm", *(one.name for one in self.embedding_models)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two embedding models are named {twice!r}; `minilm` is the built-in one")
        if self.embedding_model not in names:
            raise ValueError(
                f"embedding_model is {self.embedding_model!r}; describe it in embedding_models, or use one of {names}"
            )
        return self
