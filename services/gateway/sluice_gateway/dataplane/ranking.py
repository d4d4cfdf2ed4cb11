"""Rankings: what `/v1/rerank` reads, and the one shape in which it answers whatever engine ranked.

The shape is the one that Cohere's, Jina's and vLLM's clients share: `results` with `index`, `relevance_score` and, if they are
asked for, the documents, best first.
"""

from typing import Any

from sluice_gateway.dataplane.errors import UpstreamBroken, wrong_value
from sluice_gateway.tokens import count_of

_MAX_DOCUMENTS = 10_000


def check_ranking(fields: dict[str, Any]) -> bool:
    """Check the fields of a ranking; there are no content parts in it.

    Raises:
        InvalidRequest: a field has a wrong type or value.
    """
    query = fields.get("query")
    if type(query) is not str or not query.strip():
        raise wrong_value("query", "must be the text to rank by, as a string that is not empty.")
    documents = fields.get("documents")
    if type(documents) is not list or not documents:
        raise wrong_value("documents", "must be a list with at least one document.")
    if len(documents) > _MAX_DOCUMENTS:
        raise wrong_value("documents", f"must have at most {_MAX_DOCUMENTS} documents. Rank them in several requests.")
    for place, document in enumerate(documents):
        if type(document) is not str and not (type(document) is dict and type(document.get("text")) is str):
            raise wrong_value(f"documents[{place}]", "must be a string, or an object with a `text`.")
    top_n = fields.get("top_n")
    if top_n is not None and (type(top_n) is not int or top_n < 1):
        raise wrong_value("top_n", "must be a whole number of at least 1.")
    if type(fields.get("return_documents")) not in (bool, type(None)):
        raise wrong_value("return_documents", "must be true or false.")
    return False


def ranked(found: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return an engine's ranking in the common shape: sorted, at most `top_n`, with documents exactly when they are asked for.

    Without `return_documents` they are there if the engine sends them. `usage.prompt_tokens` is there when the engine counted.

    Raises:
        UpstreamBroken: the answer is no ranking of these documents.
    """
    documents = fields["documents"]
    rows = found.get("results", found.get("data"))  # Voyage calls them `data`
    if type(rows) is not list or not all(_is_row(row, len(documents)) for row in rows):
        raise UpstreamBroken("The model's answer is no ranking of the documents. Try again.")
    results = sorted(rows, key=lambda row: row["relevance_score"], reverse=True)
    if fields.get("top_n") is not None:
        results = results[: fields["top_n"]]
    wanted = fields.get("return_documents")
    if wanted is not None:
        results = [_with_document(row, documents[row["index"]] if wanted else None) for row in results]
    out = {name: value for name, value in found.items() if name not in ("data", "results")}
    tokens = _tokens(found)
    if tokens is not None:
        out["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {**out, "model": fields["model"], "results": results}


def _is_row(row: object, documents: int) -> bool:
    if type(row) is not dict:
        return False
    index, score = row.get("index"), row.get("relevance_score")
    return type(index) is int and 0 <= index < documents and type(score) in (int, float)


def _with_document(row: dict[str, Any], document: Any) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name != "document"}
    if document is not None:
        kept["document"] = {"text": document} if type(document) is str else document
    return kept


def _tokens(found: dict[str, Any]) -> int | None:
    # vLLM and Jina count in `usage` (some only the total), Cohere in `meta`.
    usage, meta = found.get("usage"), found.get("meta")
    counted = meta.get("tokens") if type(meta) is dict else None
    for where, name in ((usage, "prompt_tokens"), (usage, "total_tokens"), (counted, "input_tokens")):
        value = count_of(where.get(name)) if type(where) is dict else None
        if value is not None:
            return value
    return None
