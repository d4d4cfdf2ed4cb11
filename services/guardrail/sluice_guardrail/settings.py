"""Settings of the guardrail service."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from sluice.settings import ServiceSettings


class Settings(ServiceSettings):
    """Variables start with SLUICE_GUARDRAIL_."""

    model_config = SettingsConfigDict(env_prefix="SLUICE_GUARDRAIL_")

    port: int = Field(8082, ge=1, le=65535, description="port of the REST API")
    reload_s: float = Field(2.0, gt=0, le=3600, description="seconds between two looks at guard.yaml")
    max_characters: int = Field(2_000_000, ge=1, description="characters of all segments of one request together")
    max_check_s: float = Field(5.0, gt=0, description="seconds that one check may take before it is given up")
    thread_characters: int = Field(
        16_000, ge=0, description="longer requests are checked in a thread, so that short ones need not wait"
    )
    vault_ttl_s: int = Field(900, ge=1, le=86_400, description="seconds that a vault of POST /redact can be opened")
    approval_ttl_s: int = Field(900, ge=1, le=86_400, description="seconds that a tool call can be confirmed")
    second_reading: bool = Field(
        default=True,
        description="prompts that are a little suspicious are read again by a sentence encoder: 65 MB of memory, a second at the start, about 10 ms for each of them",
    )
    judge_url: str = Field(
        "", description="base URL of a chat model's API, which ends in /v1, for policies that ask a model; empty: none"
    )
    judge_model: str = Field("", description="the judging model's name there, unless a policy names another")
    judge_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    judge_format: Literal["chat", "llama_guard"] = Field(
        "chat", description="`llama_guard`: a model whose chat template asks for harm itself; `chat`: any other"
    )
    classifier_url: str = Field(
        "", description="base URL of a server of a classifying model, for policies with `injection_model`; empty: none"
    )
    classifier_model: str = Field("", description="the classifying model's name there, unless a policy names another")
    classifier_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    classifier_format: Literal["classify", "predict"] = Field(
        "classify",
        description="`classify`: `POST /classify` of vLLM and SGLang; `predict`: `POST /predict` of Text Embeddings Inference, which serves Prompt Guard",
    )
    lettucedetect_url: str = Field(
        "",
        description="base URL of a LettuceDetect server, which policies with `groundedness_model` then ask in place of the judging model; empty: none",
    )
    lettucedetect_api_key: SecretStr = Field(SecretStr(""), description="its API key, if it asks for one")
    llm_guard_url: str = Field(
        "", description="base URL of an LLM Guard API or Gorget API, for policies with `llm_guard`; empty: none"
    )
    llm_guard_api_key: SecretStr = Field(SecretStr(""), description="its bearer token, if it asks for one")
    judge_timeout_s: float = Field(
        3.0, gt=0, le=60, description="a model or server of detectors that takes longer counts as late"
    )
    log_verdicts: Literal["found", "all", "off"] = Field(
        "found",
        description="which verdicts are logged, never with their text: those that `found` something, `all`, `off`",
    )
    names_model: str = Field(
        "", description="spaCy model that finds names of people for policies whose `kinds` name `person`; empty: none"
    )
    max_dry_run_s: float = Field(30.0, gt=0, description="seconds that the dry run of a policy may take")
