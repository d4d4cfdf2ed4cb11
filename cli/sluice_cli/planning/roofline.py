"""How long a step takes at best, and what bounds it: arithmetic, memory or communication."""

from typing import Literal, NamedTuple

from sluice_cli.planning.accelerators import Accelerator
from sluice_cli.planning.memory import GB, kv_bytes_per_token
from sluice_cli.planning.shape import ModelShape

Bound = Literal["compute-bound", "memory-bound", "communication-bound"]
_TERA = 1e12


class Setup(NamedTuple):
    """A model on devices. The two efficiencies are the reachable shares of the peaks (1: the roofline itself, which no engine beats).

    `link_gb_s` is the bandwidth between devices, in one direction, that the all-reduces of tensor parallelism use; `overhead_s` is the time of a step
    that is neither work nor memory (launches, scheduling); `offloaded` is the share of the weights that lies in the host's memory.
    """

    shape: ModelShape
    device: Accelerator
    devices: int = 1
    bits: float = 16
    kv_bits: float = 16
    compute_efficiency: float = 1.0
    bandwidth_efficiency: float = 1.0
    link_gb_s: float = 450.0
    overhead_s: float = 0.0
    offloaded: float = 0.0


class Step(NamedTuple):
    """One pass of the model: operations, bytes read from memory and sent between devices, seconds, and what bounds it."""

    operations: float
    read: float
    sent: float
    seconds: float
    bound: Bound

    @property
    def intensity(self) -> float:
        """Operations for each byte read."""
        return self.operations / self.read


def bound_of(intensity: float, device: Accelerator) -> Bound:
    """Return what bounds work of so many operations a byte: memory below the ridge, arithmetic above it (F237, with its labels the right way round)."""
    return "memory-bound" if intensity < device.ridge else "compute-bound"


def step(setup: Setup, new_tokens: float, pairs: float, kv_tokens: float) -> Step:
    """Return one pass over `new_tokens`, that look at `pairs` (query, key) in each layer with attention and read the KV cache of `kv_tokens`.

    Operations: 2 * active parameters a token, and 4 * heads * head size a pair (score and weighted value). Bytes: the weights once (of a mixture of
    experts, those that the tokens reach), and the KV cache. Tensor parallelism sends 2 all-reduces a layer, of 16 bits for each number of the width,
    2 (d - 1) / d of it over each device's link; offloaded layers come over the bus to the host. Time is the longest of the three, plus the overhead.
    Williams et al., "Roofline" (2009); Pope et al., "Efficiently Scaling Transformer Inference" (2022).
    """
    shape, device, devices = setup.shape, setup.device, setup.devices
    operations = 2.0 * shape.active * new_tokens + 4.0 * shape.attention_layers * shape.heads * shape.head_size * pairs
    weights = _weights_read(shape, new_tokens) * setup.bits / 8
    read = weights + kv_tokens * kv_bytes_per_token(shape, setup.kv_bits)
    sent = 2.0 * shape.layers * new_tokens * shape.width * 2 * 2 * (devices - 1) / devices
    computing = operations / (devices * device.tflops * _TERA * setup.compute_efficiency)
    reading = read / (devices * device.bandwidth_gb_s * GB * setup.bandwidth_efficiency)
    sending = sent / (setup.link_gb_s * GB) + weights * setup.offloaded / (devices * device.host_gb_s * GB)
    longest = max(computing, reading, sending)
    bound: Bound = (
        "memory-bound" if reading == longest else "compute-bound" if computing == longest else "communication-bound"
    )
    return Step(operations, read, sent, longest + setup.overhead_s, bound)


def prefill(setup: Setup, prompt: float, sequences: int = 1) -> Step:
    """Return the pass over the prompts of `sequences`, each of `prompt` tokens, that look at themselves and what is before."""
    kept = setup.shape.kept_tokens(prompt)
    pairs = kept * (kept + 1) / 2 + (prompt - kept) * kept
    return step(setup, sequences * prompt, sequences * pairs, sequences * kept)


def decode(setup: Setup, batch: float, context: float) -> Step:
    """Return the pass over one new token of each of `batch` sequences, each with `context` tokens before it."""
    kept = batch * setup.shape.kept_tokens(context)
    return step(setup, batch, kept, kept)


class Speed(NamedTuple):
    """What a caller and an operator see: seconds, tokens a second of all callers together, shares of the peaks, joules."""

    ttft_s: float
    tpot_s: float
    e2e_s: float
    tokens_per_second: float
    mfu: float
    mbu: float
    bound: Bound
    joules_per_token: float


def speed(setup: Setup, prompt: int, answer: int, batch: int) -> Speed:
    """Return the speed with `batch` requests running at once, each of `prompt` and `answer` tokens.

    TTFT is that of a prompt that waits for nobody; TPOT is a step with all callers half way through their answers; E2E = TTFT + (answer - 1) * TPOT.
    Tokens a second counts the prompts' time too: a request takes the devices for a prefill and its share of `answer` steps. MFU and MBU are
    those of the decoding steps (F243; F244, corrected: weights are read once for the batch). Joules: board power of all devices by tokens a second (F361).
    """
    first, each = prefill(setup, prompt), decode(setup, batch, prompt + answer / 2)
    rate = answer / (first.seconds + answer * each.seconds / batch)
    peak = setup.devices * setup.device.tflops * _TERA
    bandwidth = setup.devices * setup.device.bandwidth_gb_s * GB
    return Speed(
        ttft_s=first.seconds,
        tpot_s=each.seconds,
        e2e_s=first.seconds + (answer - 1) * each.seconds,
        tokens_per_second=rate,
        mfu=each.operations / each.seconds / peak,
        mbu=each.read / each.seconds / bandwidth,
        bound=each.bound,
        joules_per_token=setup.devices * setup.device.watts / rate,
    )


def _weights_read(shape: ModelShape, tokens: float) -> float:
    """Return the parameters that a step reads: of a mixture of experts, those that are expected to be reached if each token chooses evenly."""
    if shape.experts <= shape.experts_used:
        return float(shape.parameters)
    one = (shape.parameters - shape.active) / (shape.experts - shape.experts_used)
    reached = shape.experts * (1 - (1 - shape.experts_used / shape.experts) ** tokens)
    return float(shape.active - shape.experts_used * one + reached * one)
