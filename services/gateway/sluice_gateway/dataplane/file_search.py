"""The tool `file_search` of a request: it names vector stores to look in, as `sluice.retrieval` does."""

from typing import Any

from pydantic import ValidationError

from sluice.contracts.searching import RankingOptions
from sluice.sentences import faults
from sluice_gateway.dataplane.errors import InvalidRequest, wrong_value

Fields = dict[str, Any]
_TOOL = "file_search"
_INCLUDED = "file_search_call.results"
DEFAULT_RESULTS = 5


def in_our_words(fields: Fields) -> Fields:
    """Return a request whose `file_search` tools are a `sluice.retrieval`; one without them is returned as it is.

    The evidence is looked up before the model is asked, with the last user message as the query, so that any model can
    answer from it: the model does not decide whether to search.

    Raises:
        InvalidRequest: a tool has no vector stores, or there are two ways to name them in one request.
    """
    tools = fields.get("tools")
    if type(tools) is not list:
        return fields
    searches = [(at, tool) for at, tool in enumerate(tools) if type(tool) is dict and tool.get("type") == _TOOL]
    if not searches:
        return fields
    at, tool = searches[0]
    where = f"tools[{at}]"
    if len(searches) > 1:
        raise wrong_value(f"tools[{searches[1][0]}]", "is a second `file_search`. Name all vector stores in one.")
    given = fields.get("sluice")
    extension = dict(given) if type(given) is dict else {}
    if extension.get("retrieval") is not None:
        raise wrong_value(where, "and `sluice.retrieval` say the same. Use one of them.")
    extension["retrieval"] = _retrieval(tool, where)
    out = {**fields, "sluice": extension}
    left = [other for other in tools if other is not tool]
    out["tools"] = left
    if not left:
        del out["tools"]
        out.pop("tool_choice", None)
    elif type(out.get("tool_choice")) is dict and out["tool_choice"].get("type") == _TOOL:
        del out["tool_choice"]
    include = fields.get("include")
    if type(include) is list and _INCLUDED in include:
        out["include"] = [name for name in include if name != _INCLUDED]
        extension["retrieval"]["results"] = True
    return out


def _retrieval(tool: Fields, where: str) -> Fields:
    stores = tool.get("vector_store_ids")
    if type(stores) is not list or not stores or any(type(store) is not str for store in stores):
        raise wrong_value(f"{where}.vector_store_ids", "must be a list of the ids of vector stores.")
    found: Fields = {"vector_store_ids": stores, "top_k": tool.get("max_num_results") or DEFAULT_RESULTS}
    if tool.get("filters") is not None:
        found["filters"] = tool["filters"]
    options = tool.get("ranking_options")
    if options is not None:
        try:
            found |= RankingOptions.model_validate(options).in_our_words()
        except ValidationError as exc:
            errors = [{**one, "loc": ("ranking_options", *one["loc"])} for one in exc.errors(include_url=False)]
            fault = faults(errors)[0]
            raise InvalidRequest(fault.sentence, param=f"{where}.{fault.field}") from exc
    return found
