"""From an engine's description to the command line that starts it: pure, so that it can be tested without the engine."""

import json
from dataclasses import dataclass, field

from sluice_inference.domain.specs import LlamaCppSpec, Speculation, VllmSpec

_MOST_THREADS = 8
# vLLM forbids the spaces only if one back end is chosen for all forms; xgrammar knows every kind of form.
_COMPACT = json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})
# Traced once by torch.compile, and run as it is: so vLLM makes the dummy run of its start, which later stages of a pipeline need, and compiles nothing.
_TRACED = json.dumps({"mode": 2, "backend": "eager"})


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments and the variables that it needs besides the inherited ones."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(default=())


def llamacpp_command(spec: LlamaCppSpec, *, python: str, model_file: str, host: str, cores: int) -> Command:
    """Return how our runner for llama.cpp is started; it ends by itself when its standard input closes.

    `host` is the address to listen on if the description names none; `cores` is how many the process may use.
    """
    threads = spec.threads or max(1, min(cores, _MOST_THREADS))
    return Command(
        (
            *(python, "-m", "sluice_inference.engines.llamacpp"),
            *("--model", model_file, "--alias", spec.model),
            *("--host", spec.host or host, "--port", str(spec.port)),
            *("--context-tokens", str(spec.context_tokens), "--slots", str(spec.slots)),
            *("--threads", str(threads), "--batch-tokens", str(spec.batch_tokens)),
            *("--cache-type", spec.cache_type, "--prompt-cache-mib", str(spec.prompt_cache_mib)),
            *_optional("--chat-template", spec.chat_template),
            *_optional("--adapter", spec.adapter_path),
            "--lifeline",
        ),
        (("OMP_WAIT_POLICY", "passive"),),
    )


def vllm_command(spec: VllmSpec, *, python: str, host: str) -> Command:
    """Return how vLLM's server is started, below our lifeline program so that it cannot outlive the service.

    `python` is the service's interpreter, which runs the lifeline; the engine runs on `spec.python`.
    """
    engine = [
        *(str(spec.python), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", spec.model_path, "--served-model-name", spec.model),
        *("--host", spec.host or host, "--port", str(spec.port)),
        *("--max-num-seqs", str(spec.slots), "--tensor-parallel-size", str(spec.tensor_parallel_size)),
        *("--pipeline-parallel-size", str(spec.pipeline_parallel_size), "--kv-cache-dtype", spec.kv_cache_dtype),
        *("--dtype", spec.dtype),
        *_optional("--data-parallel-size", spec.data_parallel_size if spec.data_parallel_size > 1 else None),
        "--enable-prefix-caching" if spec.prefix_caching else "--no-enable-prefix-caching",
        *_switch("chunked-prefill", spec.chunked_prefill),
        *_optional("--max-model-len", spec.context_tokens),
        *_optional("--max-num-batched-tokens", spec.batch_tokens),
        *_optional("--cpu-offload-gb", spec.cpu_offload_gb),
        *_optional("--reasoning-parser", spec.reasoning_parser),
        *_optional("--chat-template", spec.chat_template),
        *_optional("--structured-outputs-config", _COMPACT if spec.compact_json else None),
        *_optional("--speculative-config", None if spec.speculation is None else _speculation(spec.speculation)),
        *_optional("--gpu-memory-utilization", spec.gpu_memory_utilization),
        *_optional("--quantization", spec.quantization),
        *_optional("--seed", spec.seed),
        *_optional("--compilation-config", _TRACED if spec.trace_only else None),
        *(["--enforce-eager"] if spec.enforce_eager else []),
    ]
    if spec.lora:
        engine += ["--enable-lora", "--max-lora-rank", str(spec.max_lora_rank)]
        engine += ["--max-loras", str(spec.active_adapters), "--max-cpu-loras", str(spec.max_adapters)]
    if spec.tool_call_parser:
        engine += ["--enable-auto-tool-choice", "--tool-call-parser", spec.tool_call_parser]
    environment = [("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1")]
    if spec.gpus:  # numbered as nvidia-smi and the energy meters number them; CUDA alone would begin with the fastest
        environment += [("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", ",".join(map(str, spec.gpus)))]
    if not spec.downloads:
        environment += [("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1")]
    if spec.lora:
        environment.append(("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"))
    return Command((python, "-m", "sluice_inference.engines.lifeline", "--", *engine), tuple(environment))


def _speculation(wanted: Speculation) -> str:
    config: dict[str, object] = {"method": wanted.method, "num_speculative_tokens": wanted.tokens}
    if wanted.model is not None:
        config["model"] = wanted.model
    if wanted.method == "ngram":
        config["prompt_lookup_max"] = wanted.longest_match
    return json.dumps(config)


def _switch(option: str, value: bool | None) -> list[str]:  # noqa: FBT001 - three states, one of them unsaid
    return [] if value is None else [f"--{'enable' if value else 'no-enable'}-{option}"]


def _optional(option: str, value: object) -> list[str]:
    return [] if value is None else [option, str(value)]
