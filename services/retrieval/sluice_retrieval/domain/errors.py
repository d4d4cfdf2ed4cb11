"""What can go wrong in retrieval, with its HTTP status."""

from sluice.errors import BadRequest, NotFound, PayloadTooLarge, UnsupportedMediaType


class MemoryNotFound(NotFound):
    """There is no memory with this id, or it belongs to another tenant."""

    code, title = "memory_not_found", "Memory not found"


class StoreNotFound(NotFound):
    """There is no vector store with this id, or it belongs to another tenant."""

    code, title = "vector_store_not_found", "Vector store not found"


class DocumentNotFound(NotFound):
    """There is no document with this id in this store."""

    code, title = "document_not_found", "Document not found"


class BatchNotFound(NotFound):
    """There is no batch of files with this id in this store."""

    code, title = "file_batch_not_found", "File batch not found"


class StoreExpired(NotFound):
    """The vector store was not used for so long that it has expired; its documents are gone."""

    code, title = "vector_store_expired", "Vector store expired"


class DocumentUnreadable(BadRequest):
    """The document is empty, broken, or needs more time or memory to parse than it may."""

    code, title = "document_unreadable", "Document unreadable"


class DocumentTooLarge(PayloadTooLarge):
    """The document, its text or its number of pages is over the configured size."""

    code, title = "document_too_large", "Document too large"


class DocumentTypeUnknown(UnsupportedMediaType):
    """There is no parser for documents of this type."""

    code, title = "document_type_unknown", "Document type not supported"


class RerankerNotConfigured(BadRequest):
    """A cross-encoder was asked for, and the service has none."""

    code, title = "reranker_not_configured", "No reranking model"


class TableNotFound(NotFound):
    """The document has no such table."""

    code, title = "table_not_found", "Table not found"


class TableQueryInvalid(BadRequest):
    """The query names a column that is not there, or compares one with a value of another kind."""

    code, title = "table_query_invalid", "Table query not acceptable"


class TableQueryTooLarge(BadRequest):
    """The query needs more time or memory than it may."""

    code, title = "table_query_too_large", "Table query too large"


class RewriterNotConfigured(BadRequest):
    """A chat model was asked to rewrite the question, and the service has none."""

    code, title = "rewriter_not_configured", "No rewriting model"


class EmbeddingInputInvalid(BadRequest):
    """The input of an embedding request cannot be embedded as it is."""

    code, title = "embedding_input_invalid", "Embedding input not acceptable"


class EmbeddingModelUnknown(NotFound):
    """This service has no embedding model of that name."""

    code, title = "model_not_found", "Model not found"
