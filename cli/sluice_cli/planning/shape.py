"""A model's shape: what its memory and its work follow from."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from sluice.contracts.sizes import SizeCategory, category_of

_UNGATED = frozenset({"gpt2", "opt", "gpt_neox", "bloom", "falcon", "mpt", "gptj"})


class UnknownShape(ValueError):
    """A configuration from which the shape cannot be told; the sentence says what is missing."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a model is made of.

    `active` are the parameters that one token uses (all, except in a mixture of experts); `experts` and `experts_used` are per layer. Attention is not
    taken for granted (F023): `attention_layers` may be fewer than `layers`, or none, and `state_values` are the numbers that the other layers keep for
    each sequence, however long it is. `kv_values` are the numbers that one layer with attention keeps for each token; `window` is how many tokens
    it keeps at most (None: all).
    """

    architecture: str
    parameters: float
    active: float
    layers: int
    attention_layers: int
    width: int
    heads: int
    head_size: int
    kv_values: int
    state_values: int = 0
    window: int | None = None
    experts: int = 1
    experts_used: int = 1

    @property
    def category(self) -> SizeCategory:
        """The size's category."""
        return category_of(self.parameters / 1e9)

    def kept_tokens(self, tokens: float) -> float:
        """Return how many of a sequence's tokens the KV cache holds."""
        return tokens if self.window is None else min(tokens, self.window)


def dense_shape(
    parameters_b: float, layers: int, width: int, heads: int, kv_heads: int, head_size: int | None = None
) -> ModelShape:
    """Return the shape of a dense transformer from its few numbers; parameters in billions, head size width / heads if None."""
    size = head_size or width // heads
    return ModelShape(
        architecture="transformer",
        parameters=parameters_b * 1e9,
        active=parameters_b * 1e9,
        layers=layers,
        attention_layers=layers,
        width=width,
        heads=heads,
        head_size=size,
        kv_values=2 * kv_heads * size,
    )


def shape_of(config: Mapping[str, Any], parameters_b: float | None = None) -> ModelShape:
    """Return the shape that a Hugging Face `config.json` describes; `parameters_b` (billions) replaces the count that follows from it.

    Read are dense transformers, mixtures of experts, multi-head latent attention, sliding windows, Mamba, and Jamba's mix of layers. Counts are exact
    for Llama, Qwen, Mistral, Mixtral and Mamba up to biases.

    Raises:
        UnknownShape: a number is missing.
    """
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, Mapping) else config
    found = _mamba(config) if config.get("model_type") in ("mamba", "falcon_mamba") else _with_attention(config)
    if parameters_b is None:
        return found
    share = parameters_b * 1e9 / found.parameters
    return _replaced(found, parameters=found.parameters * share, active=found.active * share)


def _replaced(shape: ModelShape, *, parameters: float, active: float) -> ModelShape:
    values = {name: getattr(shape, name) for name in ModelShape.__slots__}
    return ModelShape(**{**values, "parameters": parameters, "active": active})


def _number(config: Mapping[str, Any], *names: str, default: int | None = None) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(value)
    if default is None:
        raise UnknownShape(f"The configuration has no {names[0]}. Give the shape as options instead.")
    return default


def _embeddings(config: Mapping[str, Any], width: int) -> int:
    tied = config.get("tie_word_embeddings", config.get("model_type") in ("gpt2", "mamba", "falcon_mamba"))
    return _number(config, "vocab_size") * width * (1 if tied else 2)


def _mamba_layer(config: Mapping[str, Any], width: int, prefix: str = "") -> tuple[int, int]:
    """Return a Mamba layer's parameters and the numbers of its state (Gu and Dao, "Mamba", 2023, section 3.4)."""
    wide = _number(config, "intermediate_size", default=2 * width) if not prefix else 2 * width
    wide = _number(config, f"{prefix}expand", default=0) * width or wide
    state = _number(config, f"{prefix}d_state", "state_size", default=16)
    kernel = _number(config, f"{prefix}d_conv", "conv_kernel", default=4)
    rank = _number(config, f"{prefix}dt_rank", "time_step_rank", default=ceil(width / 16))
    parameters = width * 2 * wide + wide * (kernel + 1) + wide * (rank + 2 * state) + rank * wide + wide
    return parameters + wide * state + wide + wide * width + width, wide * (state + kernel)


def _mamba(config: Mapping[str, Any]) -> ModelShape:
    width, layers = _number(config, "hidden_size"), _number(config, "num_hidden_layers", "n_layer")
    each, state = _mamba_layer(config, width)
    parameters = _embeddings(config, width) + layers * each + width
    return ModelShape(
        architecture="state space",
        parameters=parameters,
        active=parameters,
        layers=layers,
        attention_layers=0,
        width=width,
        heads=0,
        head_size=0,
        kv_values=0,
        state_values=state * layers,
    )


def _with_attention(config: Mapping[str, Any]) -> ModelShape:
    width, layers = _number(config, "hidden_size", "n_embd"), _number(config, "num_hidden_layers", "n_layer")
    heads = _number(config, "num_attention_heads", "n_head")
    size = _number(config, "head_dim", default=width // heads)
    kv_heads = _number(config, "num_key_value_heads", default=heads)
    latent = _number(config, "kv_lora_rank", default=0)
    period = _number(config, "attn_layer_period", default=1)
    attending = len(range(int(config.get("attn_layer_offset", 0)), layers, period))
    mamba, state = _mamba_layer(config, width, "mamba_") if attending < layers else (0, 0)

    matrices = 2 if config.get("model_type") in _UNGATED else 3
    dense = matrices * width * _number(config, "intermediate_size", "n_inner", "ffn_dim", default=4 * width)
    experts = _number(config, "num_local_experts", "num_experts", "n_routed_experts", default=1)
    used = _number(config, "num_experts_per_tok", default=1) if experts > 1 else 1
    expert = matrices * width * _number(config, "moe_intermediate_size", default=dense // (matrices * width))
    every = _number(config, "expert_layer_period", "decoder_sparse_step", default=1)
    sparse = (layers - int(config.get("first_k_dense_replace") or 0)) // every if experts > 1 else 0
    shared = _number(config, "n_shared_experts", default=0) * expert

    attention = width * size * (2 * heads + 2 * kv_heads)
    if latent:
        attention = _latent_attention(config, width, heads, latent)
    outside = _embeddings(config, width) + width + attending * attention + (layers - attending) * mamba
    outside += layers * 2 * width + (layers - sparse) * dense + sparse * (shared + experts * width * (experts > 1))
    window = _number(config, "sliding_window", default=0) if config.get("use_sliding_window", True) else 0
    mixed = attending < layers
    return ModelShape(
        architecture="hybrid" if mixed else "mixture of experts" if sparse else "transformer",
        parameters=outside + sparse * experts * expert,
        active=outside + sparse * used * expert,
        layers=layers,
        attention_layers=attending,
        width=width,
        heads=heads,
        head_size=size,
        kv_values=latent + _number(config, "qk_rope_head_dim", default=0) if latent else 2 * kv_heads * size,
        state_values=state * (layers - attending),
        window=window or None,
        experts=experts if sparse else 1,
        experts_used=used if sparse else 1,
    )


def _latent_attention(config: Mapping[str, Any], width: int, heads: int, latent: int) -> int:
    """Return the parameters of multi-head latent attention (DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1)."""
    plain, turned = _number(config, "qk_nope_head_dim"), _number(config, "qk_rope_head_dim")
    value, rank = _number(config, "v_head_dim"), _number(config, "q_lora_rank", default=0)
    queries = heads * (plain + turned)
    asking = width * rank + rank * queries if rank else width * queries
    return asking + width * (latent + turned) + latent * heads * (plain + value) + heads * value * width
