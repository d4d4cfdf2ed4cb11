"""The engines of a host as `engines.yaml` describes them, with every value checked."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from sluice.contracts.base import Request

EngineId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Port = Annotated[int, Field(ge=1, le=65_535)]
Meter = Annotated[str, StringConstraints(pattern=r"^(cpu|gpu:(0|[1-9][0-9]?))$")]
Gpu = Annotated[int, Field(ge=0, le=63)]
CacheType = Literal["f16", "q8_0"]
_VLLM_SHARE = 0.92  # gpu_memory_utilization where it is not said (vLLM 0.32)
_LAST_PORT = 65_535


class Hardware(Request):
    """What MFU and MBU are shares of: the model's size, and the dense peak and bandwidth of all accelerators of the engine together.

    `kv_mb_per_request` is the KV cache of a request of usual length: 2 * layers * KV heads * head size * bytes * tokens. Dense peaks: H100 SXM
    989 TFLOP/s in BF16 (the 1,979 of its data sheet need sparsity), A100 312, MI250X 383.
    """

    parameters_b: Annotated[float, Field(gt=0, le=100_000)]
    weights_gb: Annotated[float, Field(gt=0, le=100_000)]
    peak_tflops: Annotated[float, Field(gt=0, le=1_000_000)]
    bandwidth_gb_s: Annotated[float, Field(gt=0, le=1_000_000)]
    kv_mb_per_request: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0


class EngineBase(Request):
    """What all engines have: an id, and the model name that callers use for it."""

    id: EngineId
    model: ModelName
    start_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long the engine may take from its start to its first generated token."""
    probe_timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long it may take to answer a health question; three that fail in a row count as a hang."""
    template_check: bool = True
    """Whether a model is refused whose chat template is missing or does not match it."""
    hardware: Hardware | None = None
    """What it runs on, if its use shall be measured."""
    energy_of: Annotated[tuple[Meter, ...], Field(max_length=64)] = ()
    """Whose energy it uses, and uses alone: `cpu` (all packages of the host) and `gpu:N` (the N-th NVIDIA GPU of the host)."""
    public_url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$", max_length=2000)] = ""
    """The base URL by which router and gateway reach it, if it is another than this service's own (as between containers)."""

    @field_validator("public_url")
    @classmethod
    def _without_slash_at_the_end(cls, value: str) -> str:
        return value.rstrip("/")


class LlamaCppSpec(EngineBase):
    """llama.cpp's server from the wheel `xllamacpp`, with a GGUF model from a file or from a wheel.

    `context_tokens` is per slot; the engine holds `slots` requests at once and reserves the memory for all of them
    at its start. `threads` 0 takes every core that the process may use, up to 8. `adapter_path` is a LoRA adapter in GGUF that every answer is made
    with. With `lora` adapters are loaded and unloaded while it runs: its server takes them only at a start, so each gets an engine of its own with
    the same model and settings, at most `max_adapters`, on the ports from `first_adapter_port` on (the one after `port`, if it is not said).
    """

    backend: Literal["llamacpp"]
    model_package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    model_path: Path | None = None
    host: str = ""
    port: Port = 8090
    context_tokens: Annotated[int, Field(ge=256, le=1_048_576)] = 4096
    slots: Annotated[int, Field(ge=1, le=256)] = 2
    threads: Annotated[int, Field(ge=0, le=512)] = 0
    batch_tokens: Annotated[int, Field(ge=32, le=8192)] = 512
    cache_type: CacheType = "f16"
    prompt_cache_mib: Annotated[int, Field(ge=0, le=1_048_576)] = 64
    chat_template: Path | None = None
    adapter_path: Path | None = None
    lora: bool = False
    max_adapters: Annotated[int, Field(ge=1, le=64)] = 2
    first_adapter_port: Port | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "LlamaCppSpec":
        if (self.model_package is None) == (self.model_path is None):
            raise ValueError("set exactly one of model_package (a wheel that holds a GGUF file) and model_path")
        if self.lora and self.energy_of:
            raise ValueError(
                "the engines of adapters (lora) share its processors, so their energy cannot be told apart. Leave energy_of out"
            )
        if self.lora and self.adapter_path is not None:
            raise ValueError(
                "an engine has one adapter for all answers (adapter_path) or takes several (lora), not both"
            )
        if self.adapter_ports and self.adapter_ports[-1] > _LAST_PORT:
            raise ValueError(
                "the ports of the adapters' engines end above 65535. Lower first_adapter_port or max_adapters"
            )
        return self

    @property
    def adapters(self) -> int:
        """How many adapters can be loaded while it runs."""
        return self.max_adapters if self.lora else 0

    @property
    def adapter_ports(self) -> range:
        """The ports of the engines that run adapters, empty without `lora`."""
        first = self.first_adapter_port or self.port + 1
        return range(first, first + self.adapters)

    def with_adapter(self, name: str, file: Path, port: int) -> "LlamaCppSpec":
        """Return the engine beside this one that answers as the model `name`, with an adapter; its id is bounded by the ports, so that it can be a label."""
        changes = {
            "id": f"{self.id}.{port}",
            "model": name,
            "port": port,
            "adapter_path": file,
            "lora": False,
            "public_url": on_port(self.public_url, port) if self.public_url else "",
        }
        return self.model_copy(update=changes)

    @property
    def base_url(self) -> str:
        """Where the service itself reaches the engine."""
        return f"http://{_reachable(self.host)}:{self.port}/v1"


class Speculation(Request):
    """Speculative decoding of vLLM: `tokens` are guessed ahead and checked in one step, which changes no answer's distribution.

    `ngram` guesses what followed the last `longest_match` tokens earlier in the prompt; the others guess with `model`.
    """

    method: Literal["ngram", "draft_model", "eagle", "eagle3", "medusa", "mtp"]
    tokens: Annotated[int, Field(ge=1, le=16)] = 4
    model: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^-].*$")] | None = None
    longest_match: Annotated[int, Field(ge=1, le=32)] = 4

    @model_validator(mode="after")
    def _names_its_model(self) -> "Speculation":
        if self.method in ("draft_model", "eagle", "eagle3", "medusa") and self.model is None:
            raise ValueError(f"method '{self.method}' needs 'model', the folder or name of what guesses")
        if self.method == "ngram" and self.model is not None:
            raise ValueError("method 'ngram' guesses from the prompt; leave 'model' out")
        return self


class VllmSpec(EngineBase):
    """vLLM's OpenAI-compatible server, in a Python environment of its own; the service never imports it.

    `python` is that environment's interpreter. Sizes that are None are left to vLLM. `gpus` are those that it may use, by their numbers in
    `nvidia-smi`; none named are all of the host. `data_parallel_size` copies of the model answer behind one address. `slots` and `batch_tokens` bound continuous
    batching: requests, and tokens of one step. With `chunked_prefill` a long prompt is read in pieces of a step, without it whole.
    `max_adapters` are held in memory, `active_adapters` of them can run in one step. `compact_json` lets no space stand between the elements of JSON that
    a request demands, which a weak model may go on writing without end.
    """

    backend: Literal["vllm"]
    python: Path = Path("python")
    model_path: str
    host: str = ""
    port: Port = 8000
    start_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 900.0
    context_tokens: Annotated[int, Field(ge=256, le=10_000_000)] | None = None
    slots: Annotated[int, Field(ge=1, le=4096)] = 64
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    data_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    gpus: Annotated[tuple[Gpu, ...], Field(max_length=64)] = ()
    batch_tokens: Annotated[int, Field(ge=32, le=1_048_576)] | None = None
    chunked_prefill: bool | None = None
    kv_cache_dtype: Literal["auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2"] = "auto"
    cpu_offload_gb: Annotated[float, Field(ge=0, le=4096)] | None = None
    speculation: Speculation | None = None
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"
    quantization: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,40}$")] | None = None
    enforce_eager: bool = False
    trace_only: bool = False
    prefix_caching: bool = True
    lora: bool = False
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    active_adapters: Annotated[int, Field(ge=1, le=256)] = 1
    max_adapters: Annotated[int, Field(ge=1, le=4096)] = 8
    reasoning_parser: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    compact_json: bool = False
    chat_template: Path | None = None
    downloads: bool = False
    tool_call_parser: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    @field_validator("model_path")
    @classmethod
    def _not_an_option(cls, value: str) -> str:
        if not value or value.startswith("-"):
            raise ValueError("model_path is a folder or a model's name; it cannot begin with a hyphen")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "VllmSpec":
        if self.batch_tokens is not None and self.batch_tokens < self.slots:
            raise ValueError(
                f"batch_tokens ({self.batch_tokens}) is below slots ({self.slots}): each running request needs a token of a step. "
                "Raise batch_tokens or lower slots"
            )
        whole = self.chunked_prefill is False and self.batch_tokens is not None and self.context_tokens is not None
        if whole and (self.batch_tokens or 0) < (self.context_tokens or 0):
            raise ValueError(
                f"without chunked_prefill a prompt is read in one step, so batch_tokens ({self.batch_tokens}) must reach "
                f"context_tokens ({self.context_tokens}). Raise it, or switch chunked_prefill on"
            )
        if self.active_adapters > self.max_adapters:
            raise ValueError("active_adapters is above max_adapters: what runs must be in memory. Raise max_adapters")
        if self.trace_only and self.enforce_eager:
            raise ValueError(
                "trace_only does not go with enforce_eager, which does not trace the model. Leave one of them out"
            )
        if self.speculation is not None and self.pipeline_parallel_size > 1:
            raise ValueError("speculation does not go with pipeline_parallel_size above 1. Use tensor_parallel_size")
        self._fits_its_gpus()
        return self

    def _fits_its_gpus(self) -> None:
        if not self.gpus:
            return
        needed = self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size
        if len(set(self.gpus)) != len(self.gpus):
            raise ValueError("gpus names one twice")
        if len(self.gpus) != needed:
            raise ValueError(
                f"gpus names {len(self.gpus)}, and tensor_parallel_size * pipeline_parallel_size * data_parallel_size is {needed}. "
                "Name as many, or change a size"
            )
        others = [meter for meter in self.energy_of if meter not in {"cpu", *(f"gpu:{gpu}" for gpu in self.gpus)}]
        if others:
            raise ValueError(f"energy_of names {others[0]}, which is not among the engine's gpus")

    @property
    def adapters(self) -> int:
        """How many adapters can be loaded while it runs."""
        return self.max_adapters if self.lora else 0

    @property
    def base_url(self) -> str:
        """Where the service itself reaches the engine."""
        return f"http://{_reachable(self.host)}:{self.port}/v1"


class RemoteSpec(EngineBase):
    """An OpenAI-compatible engine that something else runs; it is watched, never started or stopped.

    `api_key_env` names the environment variable that holds its key. `generate_check` false leaves out the one-token
    generation (a provider may charge for it), so that a list of models is enough to count as ready. `metrics_url`
    empty means that no figures are read. `max_adapters` above 0 says that it is vLLM with adapters that can be loaded while it runs, and how
    many it may hold.
    """

    backend: Literal["remote"]
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=2000)]
    api_key_env: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    generate_check: bool = True
    metrics_url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s]+)?$", max_length=2000)] = ""
    context_tokens: Annotated[int, Field(ge=1)] | None = None
    slots: Annotated[int, Field(ge=1)] | None = None
    max_adapters: Annotated[int, Field(ge=0, le=4096)] = 0

    @property
    def adapters(self) -> int:
        """How many adapters can be loaded while it runs."""
        return self.max_adapters

    @field_validator("base_url")
    @classmethod
    def _no_slash_at_the_end(cls, value: str) -> str:
        return value.rstrip("/")


EngineSpec = Annotated[LlamaCppSpec | VllmSpec | RemoteSpec, Field(discriminator="backend")]
ManagedSpec = LlamaCppSpec | VllmSpec


class ScalingGroup(Request):
    """Replicas of an engine whose figures an autoscaler asks for: all addresses that the host of `metrics_url` resolves to.

    `only_if` leaves the group out when its text is empty. Times to the first token are those of the last `window_s` seconds; the replicas are read at
    most once in `every_s`.
    """

    name: EngineId
    only_if: str | None = None
    metrics_url: Annotated[str, StringConstraints(pattern=r"^http://[^\s/@?#]+(/[^\s?#]*)?$", max_length=2000)]
    window_s: Annotated[float, Field(ge=5, le=3600)] = 60.0
    every_s: Annotated[float, Field(ge=0.5, le=300)] = 5.0


class EnginesFile(Request):
    """The whole of `engines.yaml`."""

    engines: Annotated[tuple[EngineSpec, ...], Field(min_length=1, max_length=64)]
    scaling: Annotated[tuple[ScalingGroup, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _no_clashes(self) -> "EnginesFile":
        ids = [spec.id for spec in self.engines]
        if len(set(ids)) != len(ids):
            raise ValueError("two engines have the same id")
        ports = [spec.port for spec in self.engines if not isinstance(spec, RemoteSpec)]
        if len(set(ports)) != len(ports):
            raise ValueError("two engines listen on the same port")
        ports += [port for spec in self.engines if isinstance(spec, LlamaCppSpec) for port in spec.adapter_ports]
        if len(set(ports)) != len(ports):
            raise ValueError(
                "an engine listens on a port of another one's adapters (lora: true takes max_adapters ports, from the one after port on). "
                "Set first_adapter_port to where as many are free"
            )
        shares: dict[int, float] = {}
        for spec in (one for one in self.engines if isinstance(one, VllmSpec)):
            for gpu in spec.gpus:
                shares[gpu] = shares.get(gpu, 0.0) + (spec.gpu_memory_utilization or _VLLM_SHARE)
        over = [gpu for gpu, share in shares.items() if share > 1]
        if over:
            raise ValueError(
                f"the engines on GPU {over[0]} take {shares[over[0]]:g} of its memory. Give each its own in gpus, or lower gpu_memory_utilization"
            )
        meters = [meter for spec in self.engines for meter in spec.energy_of]
        if len(set(meters)) != len(meters):
            raise ValueError(
                "two engines have the same meter in energy_of: what they share cannot be told apart. Name it for one of them"
            )
        names = [group.name for group in self.scaling]
        if len(set(names)) != len(names):
            raise ValueError("two scaling groups have the same name")
        return self

    @property
    def scaled(self) -> dict[str, ScalingGroup]:
        """The scaling groups that are not left out, by name."""
        return {one.name: one for one in self.scaling if one.only_if is None or one.only_if.strip()}


def on_port(base_url: str, port: int) -> str:
    """Return a base URL on another port of its host."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if parts.hostname is not None and ":" in parts.hostname else parts.hostname
    return urlunsplit(parts._replace(netloc=f"{host}:{port}"))


def _reachable(host: str) -> str:
    # An engine that listens everywhere is reached over the loopback address.
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
