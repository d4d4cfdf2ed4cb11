"""How much memory a model takes, and what fits beside it."""

from typing import Literal, NamedTuple

from sluice_cli.planning.accelerators import Accelerator
from sluice_cli.planning.shape import ModelShape

Placement = Literal["all_gpu", "model_gpu_activations_cpu", "offload_layers"]
GB = 1e9


class Format(NamedTuple):
    """A number format: bits of a value with its scales, and the loss of quality that the handbook gives as usual, in percent (F252)."""

    bits: float
    usual_loss: str


FORMATS = {
    "fp32": Format(32, "0"),
    "fp16": Format(16, "0"),
    "bf16": Format(16, "0"),
    "fp8": Format(8, "0–2"),
    "int8": Format(8, "5–10"),
    "int4": Format(4, "10–20"),
    "int4-g128": Format(4.125, "2–5 (groups of 128)"),
    "int4-g32": Format(4.5, "2–5 (groups of 32)"),
}


def weights_bytes(shape: ModelShape, bits: float) -> float:
    """Return the bytes of the weights."""
    return shape.parameters * bits / 8


def kv_bytes_per_token(shape: ModelShape, kv_bits: float = 16) -> float:
    """Return the KV cache of one token: layers with attention * numbers kept * bytes; 2 * KV heads * head size numbers if keys and values are kept whole."""
    return shape.attention_layers * shape.kv_values * kv_bits / 8


def sequence_bytes(shape: ModelShape, tokens: float, kv_bits: float = 16) -> float:
    """Return what a sequence of `tokens` keeps: its KV cache, and the states of layers without attention (16 bits each)."""
    return shape.kept_tokens(tokens) * kv_bytes_per_token(shape, kv_bits) + shape.state_values * 2.0


def activation_bytes(shape: ModelShape, step_tokens: int) -> float:
    """Return an upper estimate of what a step holds between layers: for each token 16 numbers of the model's width, 16 bits each.

    Residual, norm, Q, K, V and output of attention take 6 widths, the gated feed-forward part of a Llama (3.5 widths, twice) 7 and its output 1; they are
    not all alive at once. Nothing grows with the square of the length, since attention is computed block by block.
    """
    return 16.0 * shape.width * step_tokens * 2


class MemoryPlan(NamedTuple):
    """Bytes on all devices together, how many sequences fit at once, and where the parts lie.

    `gpu_layers` are the layers that stay on the devices under `offload_layers`.
    """

    weights: float
    each_sequence: float
    activations: float
    budget: float
    sequences: int
    placement: Placement
    gpu_layers: int


def plan_memory(
    shape: ModelShape,
    device: Accelerator,
    *,
    devices: int = 1,
    bits: float = 16,
    kv_bits: float = 16,
    tokens: int,
    step_tokens: int = 2048,
    share: float = 0.9,
) -> MemoryPlan:
    """Return what fits: `tokens` is a sequence's length, `share` the part of the memory that may be used (vLLM's gpu_memory_utilization).

    Placement (F247): all on the devices if a sequence and a step fit beside the weights; weights on the devices and the rest in the host's memory if only
    they fit; else as many layers as fit, the rest is brought over the bus in every step.
    """
    weights, each, acting = (
        weights_bytes(shape, bits),
        sequence_bytes(shape, tokens, kv_bits),
        activation_bytes(shape, step_tokens),
    )
    budget = devices * device.memory_gb * GB * share
    left = budget - weights - acting
    if each > 0 and left >= each:
        return MemoryPlan(weights, each, acting, budget, int(left // each), "all_gpu", shape.layers)
    if weights <= budget:
        return MemoryPlan(weights, each, acting, budget, 0, "model_gpu_activations_cpu", shape.layers)
    layer = weights / shape.layers
    room = max(0.0, budget - acting - each)
    return MemoryPlan(weights, each, acting, budget, 0, "offload_layers", min(shape.layers, int(room // layer)))
