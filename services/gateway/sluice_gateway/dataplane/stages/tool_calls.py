"""What a guard policy makes of an answer's tool calls (handbook F155): passed, withheld until somebody confirms them, or refused."""

from typing import Any

from sluice.contracts.guard import ToolCall, ToolVerdict
from sluice_gateway.dataplane.body import Fields

_SHOWN = 100


def tool_call(fields: Fields, call: dict[str, Any], segment_id: str) -> ToolCall:
    """Return a call as the guardrail is asked about it; its description is that of the tool in the request."""
    function = call.get("function") or {}
    name = str(function.get("name") or "")[:200]
    return ToolCall(
        id=str(call.get("id") or "")[:200],
        name=name,
        description=_description(fields, name)[:20_000],
        segment_id=segment_id,
    )


def notice(verdict: ToolVerdict) -> str:
    """Return what stands in the answer in place of a call."""
    name = verdict.name[:_SHOWN]
    if verdict.action == "approve":
        return f"The call of the tool {name} waits for somebody to confirm it."
    return f"The call of the tool {name} is not allowed."


def _description(fields: Fields, name: str) -> str:
    for tool in fields.get("tools") or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("name") == name:
            return str(function.get("description") or "")
    return ""
