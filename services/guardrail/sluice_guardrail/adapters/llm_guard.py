"""Asks the scanners of an LLM Guard API, or of Gorget's, which continues it: `POST /scan/prompt` and `POST /scan/output`."""

from pydantic import BaseModel, ConfigDict

from sluice.clients.http import Transport
from sluice.clients.models import ModelEndpoint
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.foreign_scanners import refused
from sluice_guardrail.domain.judging import JudgeQuestion


class _Prompt(BaseModel):
    prompt: str
    scanners_suppress: tuple[str, ...]


class _Output(_Prompt):
    output: str


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    is_valid: bool
    scanners: dict[str, float]


class LlmGuard:
    """One server; five failures in a row of either question and that one is left alone for five seconds."""

    def __init__(self, transport: Transport, url: str, api_key: str, timeout_s: float) -> None:
        self._prompts = ModelEndpoint(transport, url, "/scan/prompt", api_key, "LLM Guard server")
        self._outputs = ModelEndpoint(transport, url, "/scan/output", api_key, "LLM Guard server")
        self.timeout_s = timeout_s

    async def ask(self, question: JudgeQuestion, timeout_s: float) -> list[Finding]:
        """Return what the server's scanners refuse a text for; an answer is scanned with its question.

        Raises:
            DeadlineExceeded, DependencyUnavailable, UpstreamFailed: it gave no answer.
        """
        if question.role == "assistant":
            asked = _Output(prompt=question.question, output=question.text, scanners_suppress=question.suppress)
            found = await self._outputs.ask(asked, _Answer, timeout_s, lambda reply: reply)
        else:
            text = _Prompt(prompt=question.text, scanners_suppress=question.suppress)
            found = await self._prompts.ask(text, _Answer, timeout_s, lambda reply: reply)
        return refused(question.text, found.scanners, valid=found.is_valid)
