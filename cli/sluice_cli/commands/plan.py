"""`sluice plan`: which hardware a model needs, how fast it can be, and what it costs in energy; needs no platform."""

from typing import Annotated

import typer

from sluice_cli.commands.sizes import (
    ConfigOption,
    DeviceOption,
    DevicesOption,
    HeadsOption,
    JsonOption,
    KvHeadsOption,
    KvOption,
    LayersOption,
    ParametersOption,
    WeightsOption,
    WidthOption,
    bits_of,
    device_of,
    read_shape,
)
from sluice_cli.output import say, show_json, show_table
from sluice_cli.planning.accelerators import ACCELERATORS, HIERARCHY
from sluice_cli.planning.approach import Budget, Task, approach_for
from sluice_cli.planning.memory import FORMATS, GB, kv_bytes_per_token, plan_memory, weights_bytes
from sluice_cli.planning.roofline import Setup, prefill, speed
from sluice_cli.planning.training import optimal, seconds_of
from sluice_cli.platform.errors import CommandFailed

app = typer.Typer(
    help="Sizing by formulas (memory, speed, energy, training), and which technique a task calls for.",
    no_args_is_help=True,
)
Prompt = Annotated[int, typer.Option(min=1, help="tokens of a prompt")]
Answer = Annotated[int, typer.Option(min=1, help="tokens of an answer")]
_JOULES_PER_KWH = 3.6e6


@app.command()
def accelerators(as_json: JsonOption = False) -> None:
    """List the devices that are known, with dense peaks, and the levels of memory."""
    if as_json:
        show_json([{**one._asdict(), "ridge_flop_per_byte": one.ridge} for one in ACCELERATORS.values()])
        return
    show_table(
        (
            "device",
            "memory GB",
            "bandwidth GB/s",
            "dense TFLOP/s (BF16/FP16)",
            "watts",
            "to host GB/s",
            "ridge FLOP/byte",
        ),
        [(*one, f"{one.ridge:.0f}") for one in ACCELERATORS.values()],
    )
    for level in HIERARCHY:
        say(f"{level.name}: {level.low_gb_s:,.0f}–{level.high_gb_s:,.0f} GB/s")


@app.command()
def memory(
    config: ConfigOption = None,
    parameters: ParametersOption = None,
    layers: LayersOption = 32,
    width: WidthOption = 4096,
    heads: HeadsOption = 32,
    kv_heads: KvHeadsOption = 8,
    device: DeviceOption = "h100-sxm",
    devices: DevicesOption = 1,
    tokens: Annotated[int, typer.Option(min=1, help="tokens of a sequence, prompt and answer")] = 4096,
    kv: KvOption = "fp16",
    share: Annotated[float, typer.Option(min=0.1, max=1, help="part of the memory that may be used")] = 0.9,
    step_tokens: Annotated[int, typer.Option(min=1, help="tokens of a step")] = 2048,
    as_json: JsonOption = False,
) -> None:
    """Say what a model takes in each format, how many sequences fit beside it, and where its parts would lie."""
    shape, on = read_shape(config, parameters, layers, width, heads, kv_heads), device_of(device)
    plans = {
        name: plan_memory(
            shape,
            on,
            devices=devices,
            bits=form.bits,
            kv_bits=bits_of(kv),
            tokens=tokens,
            step_tokens=step_tokens,
            share=share,
        )
        for name, form in FORMATS.items()
    }
    if as_json:
        about = {
            "architecture": shape.architecture,
            "parameters": shape.parameters,
            "active_parameters": shape.active,
            "category": shape.category,
        }
        show_json(
            {
                **about,
                "kv_bytes_per_token": kv_bytes_per_token(shape, bits_of(kv)),
                "formats": {name: one._asdict() for name, one in plans.items()},
            }
        )
        return
    say(
        f"{shape.architecture}, {shape.parameters / 1e9:.2f}B parameters ({shape.category}), {shape.active / 1e9:.2f}B for each token"
    )
    say(
        f"KV cache: {kv_bytes_per_token(shape, bits_of(kv)):,.0f} bytes a token ({kv}); states of other layers: {shape.state_values * 2:,} bytes a sequence"
    )
    say(f"{devices} × {device} with {share:.0%} of {devices * on.memory_gb:g} GB")
    full = weights_bytes(shape, 32)
    show_table(
        ("weights", "GB", "of FP32", "usual loss %", f"GB for {tokens} tokens", "sequences", "placement"),
        [
            (
                *(name, f"{one.weights / GB:.2f}", f"-{1 - one.weights / full:.1%}", FORMATS[name].usual_loss),
                *(f"{one.each_sequence / GB:.3f}", one.sequences, one.placement),
            )
            if one.placement != "offload_layers"
            else (
                *(name, f"{one.weights / GB:.2f}", f"-{1 - one.weights / full:.1%}", FORMATS[name].usual_loss),
                *(f"{one.each_sequence / GB:.3f}", 0, f"offload_layers: {one.gpu_layers} of {shape.layers} stay"),
            )
            for name, one in plans.items()
        ],
    )


@app.command(name="speed")
def speed_command(
    config: ConfigOption = None,
    parameters: ParametersOption = None,
    layers: LayersOption = 32,
    width: WidthOption = 4096,
    heads: HeadsOption = 32,
    kv_heads: KvHeadsOption = 8,
    device: DeviceOption = "h100-sxm",
    devices: DevicesOption = 1,
    weights: WeightsOption = "fp16",
    kv: KvOption = "fp16",
    prompt: Prompt = 1024,
    answer: Answer = 256,
    batch: Annotated[str, typer.Option(help="requests at once, separated by commas")] = "1,8,32,128",
    compute_efficiency: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="reachable share of the peak; 1 is the roofline, which no engine beats"),
    ] = 1.0,
    bandwidth_efficiency: Annotated[
        float, typer.Option(min=0.01, max=1, help="reachable share of the bandwidth")
    ] = 1.0,
    link_gb_s: Annotated[float, typer.Option(min=0.1, help="bandwidth between devices in one direction")] = 450.0,
    overhead_ms: Annotated[float, typer.Option(min=0, help="time of a step that is neither work nor memory")] = 0.0,
    max_tpot_ms: Annotated[float | None, typer.Option(min=0.01, help="name the largest batch that keeps to it")] = None,
    grams_per_kwh: Annotated[float, typer.Option(min=0, help="CO2 of the electricity; 0 leaves it out")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Estimate TTFT, TPOT, tokens a second, MFU, MBU and energy by the roofline, and say what bounds them."""
    shape, on, bits, kv_bits = (
        read_shape(config, parameters, layers, width, heads, kv_heads),
        device_of(device),
        bits_of(weights),
        bits_of(kv),
    )
    fit = plan_memory(shape, on, devices=devices, bits=bits, kv_bits=kv_bits, tokens=prompt + answer)
    setup = Setup(
        *(shape, on, devices, bits, kv_bits, compute_efficiency, bandwidth_efficiency, link_gb_s, overhead_ms / 1000),
        offloaded=1 - fit.gpu_layers / shape.layers,
    )
    try:
        batches = [int(one) for one in batch.split(",")]
    except ValueError as exc:
        raise CommandFailed(f"--batch is whole numbers with commas between them, not {batch!r}.") from exc
    if min(batches) < 1:
        raise CommandFailed("--batch names numbers of requests: at least 1 each.")
    found = {size: speed(setup, prompt, answer, size) for size in batches}
    largest = (
        None
        if max_tpot_ms is None
        else _largest_batch(setup, prompt, answer, max_tpot_ms / 1000, max(1, fit.sequences))
    )
    if as_json:
        rows = [{"batch": size, "fits": size <= fit.sequences, **one._asdict()} for size, one in found.items()]
        show_json(
            {"sequences_that_fit": fit.sequences, "placement": fit.placement, "largest_batch": largest, "batches": rows}
        )
        return
    show_table(
        ("batch", "fits", "TTFT ms", "TPOT ms", "E2E s", "tokens/s", "MFU", "MBU", "bound", "kWh per million tokens"),
        [
            (
                *(
                    size,
                    "yes" if size <= fit.sequences else "no",
                    f"{one.ttft_s * 1000:.1f}",
                    f"{one.tpot_s * 1000:.2f}",
                    f"{one.e2e_s:.2f}",
                ),
                *(f"{one.tokens_per_second:,.0f}", f"{one.mfu:.1%}", f"{one.mbu:.1%}", one.bound),
                f"{one.joules_per_token * 1e6 / _JOULES_PER_KWH:.3f}",
            )
            for size, one in found.items()
        ],
    )
    say(
        f"A prompt of {prompt} tokens is {prefill(setup, prompt).bound}; {fit.sequences} sequences of {prompt + answer} tokens fit ({fit.placement})."
    )
    if largest is not None:
        say(
            f"Largest batch with a TPOT of at most {max_tpot_ms:g} ms: {largest}."
            if largest
            else f"No batch keeps to {max_tpot_ms:g} ms."
        )
    if grams_per_kwh:
        best = min(found.values(), key=lambda one: one.joules_per_token)
        say(
            f"CO2 at {grams_per_kwh:g} g/kWh: {best.joules_per_token * 1e6 / _JOULES_PER_KWH * grams_per_kwh:.0f} g per million tokens at best."
        )


def _largest_batch(setup: Setup, prompt: int, answer: int, most_s: float, fit: int) -> int:
    """Return the largest batch that fits and whose step is at most `most_s`, 0 if there is none; steps only grow with the batch."""
    low, high = 0, fit
    while low < high:
        middle = (low + high + 1) // 2
        if speed(setup, prompt, answer, middle).tpot_s <= most_s:
            low = middle
        else:
            high = middle - 1
    return low


@app.command()
def approach(
    real_time_data: Annotated[
        bool, typer.Option("--real-time-data/--fixed-data", help="answers rest on data that change")
    ] = False,
    consistent_format: Annotated[
        bool, typer.Option("--consistent-format/--free-format", help="answers must always have the same form or tone")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, help="good answers that could be trained on")] = 0,
    budget: Annotated[
        Budget, typer.Option(help="low trains nothing, medium trains adapters, high all weights")
    ] = "medium",
    as_json: JsonOption = False,
) -> None:
    """Say which technique a task calls for: prompting, retrieval, fine-tuning, or two of them, and why."""
    found = approach_for(Task(real_time_data, consistent_format, examples, budget))
    if as_json:
        show_json({"approach": found.name, "steps": [one._asdict() for one in found.steps]})
        return
    say(f"Approach: {found.name}")
    for number, one in enumerate(found.steps, start=1):
        say(f"{number}. {one.technique}: {one.reason}.")
        say(f"   {one.how}")


@app.command()
def training(
    flops: Annotated[float | None, typer.Option(min=1, help="operations to spend, such as 1e21")] = None,
    parameters: Annotated[float | None, typer.Option(min=0.0001, help="billions of parameters")] = None,
    tokens: Annotated[float | None, typer.Option(min=0.001, help="billions of tokens")] = None,
    device: DeviceOption = "h100-sxm",
    devices: Annotated[int, typer.Option(min=1, help="accelerators that train together")] = 8,
    mfu: Annotated[float, typer.Option(min=0.01, max=1, help="share of the peak that the training reaches")] = 0.4,
    as_json: JsonOption = False,
) -> None:
    """Give the compute-optimal model (Chinchilla) for a budget, a size or a text, and how long it takes."""
    try:
        found = optimal(
            operations=flops,
            parameters=None if parameters is None else parameters * 1e9,
            tokens=None if tokens is None else tokens * 1e9,
        )
    except ValueError as exc:
        raise CommandFailed("Give exactly one of --flops, --parameters and --tokens.") from exc
    on = device_of(device)
    seconds = seconds_of(found.operations, on.tflops, devices, mfu)
    energy = seconds * on.watts * devices / _JOULES_PER_KWH
    if as_json:
        show_json({**found._asdict(), "seconds": seconds, "kwh": energy})
        return
    show_table(
        ("parameters", "tokens", "FLOP", f"days on {devices} × {device}", "kWh"),
        [
            (
                f"{found.parameters / 1e9:.3g}B",
                f"{found.tokens / 1e9:.3g}B",
                f"{found.operations:.3g}",
                f"{seconds / 86_400:.3g}",
                f"{energy:.3g}",
            )
        ],
    )
