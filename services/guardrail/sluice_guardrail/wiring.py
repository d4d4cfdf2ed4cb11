"""Opens what the guardrail needs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, get_args

from fastapi import Depends

from sluice.auth import ServiceTokens
from sluice.clients.http import AiohttpTransport
from sluice.clock import Clock, SystemClock
from sluice.health import Probe
from sluice.loops import Supervisor
from sluice.service import deps_of
from sluice.settings import PlatformSettings
from sluice.telemetry.metrics import MetricRegistry
from sluice.telemetry.tracing import Tracing
from sluice_guardrail.adapters.approval_seal import ApprovalSeal
from sluice_guardrail.adapters.asked_beside import Asks
from sluice_guardrail.adapters.chat_judge import ChatJudge
from sluice_guardrail.adapters.classifier import Classifier, Predictor
from sluice_guardrail.adapters.encoder import no_encoder, open_encoder
from sluice_guardrail.adapters.head_file import load_cascade, load_hidden_head
from sluice_guardrail.adapters.languages import Langid
from sluice_guardrail.adapters.lettucedetect import LettuceDetect
from sluice_guardrail.adapters.llm_guard import LlmGuard
from sluice_guardrail.adapters.policy_file import Lacking, PolicyFile, load_policies
from sluice_guardrail.adapters.spacy_names import open_names
from sluice_guardrail.adapters.text_hashes import TextHashes
from sluice_guardrail.adapters.vault_seal import VaultSeal
from sluice_guardrail.domain.contact import find_phones
from sluice_guardrail.domain.detectors import PiiKind
from sluice_guardrail.domain.injection import Heads
from sluice_guardrail.domain.judging import JudgeTask
from sluice_guardrail.domain.names import Names
from sluice_guardrail.domain.policy import PolicySet
from sluice_guardrail.domain.remembering import Remembered
from sluice_guardrail.domain.scanners.language import Languages
from sluice_guardrail.metrics import GuardMetrics
from sluice_guardrail.settings import Settings


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that the guardrail's handlers use."""

    platform: PlatformSettings
    settings: Settings
    registry: MetricRegistry
    tokens: ServiceTokens
    tracing: Tracing
    probes: Mapping[str, Probe]
    policies: PolicyFile
    heads: Heads
    seal: VaultSeal
    approvals: ApprovalSeal
    hashes: TextHashes
    clock: Clock
    languages: Languages
    names: Names | None
    metrics: GuardMetrics
    remembered: Remembered
    models: Mapping[JudgeTask, Asks]


DepsDep = Annotated[Deps, Depends(deps_of)]


@asynccontextmanager
async def open_deps(platform: PlatformSettings, settings: Settings) -> AsyncIterator[Deps]:
    """Open the dependencies, and close them at the end."""
    registry = MetricRegistry(process=True)
    metrics = GuardMetrics(registry, get_args(PiiKind))
    tracing = Tracing("guardrail", platform)
    names = open_names(settings.names_model)
    policies = PolicyFile(platform, metrics.reloaded, _lacking(settings, names))
    languages = Langid()
    _warm_up(policies.current, languages)
    loops = Supervisor(registry)
    loops.start("policy-reload", lambda: policies.watch(settings.reload_s))
    transport = AiohttpTransport()
    try:
        yield Deps(
            platform=platform,
            settings=settings,
            registry=registry,
            tokens=ServiceTokens(platform.service_secret.get_secret_value(), "guardrail"),
            tracing=tracing,
            probes={},
            policies=policies,
            heads=Heads(load_cascade(open_encoder if settings.second_reading else no_encoder), load_hidden_head()),
            languages=languages,
            names=names,
            approvals=ApprovalSeal(platform.service_secret.get_secret_value(), SystemClock(), settings.approval_ttl_s),
            hashes=TextHashes(platform.service_secret.get_secret_value()),
            clock=SystemClock(),
            seal=VaultSeal(platform.service_secret.get_secret_value(), SystemClock(), settings.vault_ttl_s),
            metrics=metrics,
            remembered=Remembered(),
            models=_models(transport, settings),
        )
    finally:
        await transport.close()
        await loops.close()
        tracing.close()


def _models(transport: AiohttpTransport, settings: Settings) -> dict[JudgeTask, Asks]:
    found: dict[JudgeTask, Asks] = {}
    limit = settings.judge_timeout_s
    if settings.judge_url:
        key, style = settings.judge_api_key.get_secret_value(), settings.judge_format
        judge = ChatJudge(transport, settings.judge_url, settings.judge_model, key, limit, style)
        found |= {"harm_model": judge, "groundedness_model": judge, "second_opinion": judge}
    if settings.classifier_url:
        url, key = settings.classifier_url, settings.classifier_api_key.get_secret_value()
        found["injection_model"] = (
            Classifier(transport, url, settings.classifier_model, key, limit)
            if settings.classifier_format == "classify"
            else Predictor(transport, url, key, limit)
        )
    if settings.lettucedetect_url:
        key = settings.lettucedetect_api_key.get_secret_value()
        found["groundedness_model"] = LettuceDetect(transport, settings.lettucedetect_url, key, limit)
    if settings.llm_guard_url:
        key = settings.llm_guard_api_key.get_secret_value()
        found["llm_guard"] = LlmGuard(transport, settings.llm_guard_url, key, limit)
    return found


def check_config(platform: PlatformSettings, settings: Settings) -> None:
    """Raise if guard.yaml is not right."""
    load_policies(platform, _lacking(settings, open_names(settings.names_model)))


def _lacking(settings: Settings, names: Names | None) -> Lacking:
    answered: dict[JudgeTask, str] = {
        "harm_model": settings.judge_url,
        "second_opinion": settings.judge_url,
        "groundedness_model": settings.lettucedetect_url or settings.judge_url,
        "injection_model": settings.classifier_url,
        "llm_guard": settings.llm_guard_url,
    }
    return Lacking(names is None, frozenset(task for task, url in answered.items() if not url))


def _warm_up(policies: PolicySet, languages: Languages) -> None:
    # The numbering plans of a region are read at its first number, and the model of languages is opened at its first text:
    # better now than in a request.
    rules = [policy.rules for policy in policies.policies.values()]
    sections = [
        each
        for rule in rules
        for each in (rule.input, rule.tool_results, rule.context, rule.definitions, rule.output)
        if each
    ]
    list(find_phones("phone 030 1234567", sorted({region for each in sections for region in each.pii.phone_regions})))
    if any(each.scanners.language for each in sections):
        languages.best("Which language is this?")
