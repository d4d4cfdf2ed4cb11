"""How much of an accelerator's arithmetic, memory bandwidth and energy an engine uses."""

from collections.abc import Mapping
from typing import NamedTuple

from sluice_inference.domain.specs import Hardware

_TERA, _GIGA = 1e12, 1e9


class Rates(NamedTuple):
    """What an engine did a second, over the time between two looks: tokens of prompts and of answers, and requests that ran at once."""

    prompt_tokens: float
    generated_tokens: float
    batch: float


def mfu(hardware: Hardware, rates: Rates) -> float:
    """Return the share of the dense peak of arithmetic that is used (F243).

    A token costs two operations for each parameter, of prompts as of answers: 2 * parameters * tokens/s / peak. Chowdhery et al., "PaLM" (2022),
    appendix B, without the attention's own term.
    """
    tokens = rates.prompt_tokens + rates.generated_tokens
    return 2.0 * hardware.parameters_b * _GIGA * tokens / (hardware.peak_tflops * _TERA)


def mbu(hardware: Hardware, rates: Rates) -> float:
    """Return the share of the memory bandwidth that decoding uses (F244, corrected).

    A step reads the weights once for all requests of the batch, and each request's own KV cache: (weights + batch * KV) * steps/s / bandwidth, with
    steps/s = answer tokens/s / batch.
    """
    if rates.batch <= 0:
        return 0.0
    steps = rates.generated_tokens / rates.batch
    read = hardware.weights_gb * _GIGA + rates.batch * hardware.kv_mb_per_request * 1e6
    return read * steps / (hardware.bandwidth_gb_s * _GIGA)


def joules_between(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the joules of all meters that were read both times; one that went back (a driver that was loaded again) counts as no measurement."""
    return sum(max(0.0, joules - before[meter]) for meter, joules in after.items() if meter in before)
