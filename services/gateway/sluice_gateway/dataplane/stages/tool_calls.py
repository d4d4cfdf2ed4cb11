"""What a guard policy makes of an answer's tool calls (handbook F155): passed, withheld until somebody confirms them, or refused."""

from typing import Any

from sluice.contracts.guard import ToolCall, ToolVerdict
from sluice_gateway.dataplane.body import Fields

ONLY = -1
"""The place of a `function_call`, as calls were before there could be several."""

_SHOWN = 100


def tool_call(fields: Fields, call: dict[str, Any], segment_id: str) -> ToolCall:
    """Return a call as the guardrail is asked about it; its description is that of the tool in the request."""
    function = call.get(given_in(call)[0]) or {}
    name = str(function.get("name") or "")[:200]
    return ToolCall(
        id=str(call.get("id") or "")[:200],
        name=name,
        description=_description(fields, name)[:20_000],
        segment_id=segment_id,
    )


def given_in(call: dict[str, Any]) -> tuple[str, str]:
    """Return where a call, or a piece of one, holds its arguments: a custom tool's are its `input`."""
    return ("custom", "input") if isinstance(call.get("custom"), dict) else ("function", "arguments")


def arguments_of(call: dict[str, Any]) -> str | None:
    """Return the arguments of a call as the model wrote them, None if it has none."""
    holder, field = given_in(call)
    given = call.get(holder)
    text = given.get(field) if isinstance(given, dict) else None
    return text if isinstance(text, str) else None


def with_arguments(call: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the call with other arguments."""
    holder, field = given_in(call)
    return {**call, holder: {**(call.get(holder) or {}), field: text}}


def calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls in a whole message; a `function_call`, as they were before there could be several, has the index `ONLY`."""
    calls = message.get("tool_calls")
    only = message.get("function_call")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [*found, {"index": ONLY, "function": only}] if isinstance(only, dict) else found


def with_calls(message: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message with these calls and no others."""
    out = {
        name: value for name, value in message.items() if name not in ("tool_calls", "function_call") or value is None
    }
    several = [call for call in calls if call.get("index") != ONLY]
    only = next((call["function"] for call in calls if call.get("index") == ONLY), None)
    return {**out, **({"tool_calls": several} if several else {}), **({} if only is None else {"function_call": only})}


def notice(verdict: ToolVerdict) -> str:
    """Return what stands in the answer in place of a call."""
    name = verdict.name[:_SHOWN]
    if verdict.action == "approve":
        return f"The call of the tool {name} waits for somebody to confirm it."
    return f"The call of the tool {name} is not allowed."


def _description(fields: Fields, name: str) -> str:
    for tool in fields.get("tools") or ():
        function = (tool.get("function") or tool.get("custom")) if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("name") == name:
            return str(function.get("description") or "")
    return ""
