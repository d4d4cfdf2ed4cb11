"""`sluice simulate autoscaling`: which targets of an autoscaler keep what callers are promised, and at what cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from sluice_cli.commands.simulate import SeedOption, TraceOption, app, trace_of
from sluice_cli.commands.sizes import (
    ConfigOption,
    DeviceOption,
    DevicesOption,
    HeadsOption,
    JsonOption,
    KvHeadsOption,
    LayersOption,
    ParametersOption,
    WeightsOption,
    WidthOption,
    bits_of,
    device_of,
    read_shape,
)
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed

if TYPE_CHECKING:  # numpy takes a tenth of a second to import, which the other commands need not wait for
    from collections.abc import Sequence

    from sluice_cli.planning.roofline import Setup
    from sluice_cli.simulation.autoscaling import Outcome, Policy, Replica
    from sluice_cli.simulation.workload import Arrival

__all__ = ["app"]
_DEFAULTS = ["fixed=1", "queue=4", "kv=0.8", "ttft=2", "requests=48,queue=4,kv=0.8,ttft=2"]


@app.command()
def autoscaling(
    trace: TraceOption = None,
    requests: Annotated[int, typer.Option(min=1, max=50_000, help="how many are drawn")] = 6000,
    rate: Annotated[float, typer.Option(min=0.001, help="requests a second on average")] = 3.0,
    wave: Annotated[float, typer.Option(min=0, max=1, help="how far the rate swings, as a share of itself")] = 0.8,
    period_s: Annotated[float, typer.Option(min=1, help="seconds of a swing")] = 1800.0,
    prompt: Annotated[int, typer.Option(min=1, help="mean tokens of a prompt")] = 1024,
    answer: Annotated[int, typer.Option(min=1, help="mean tokens of an answer")] = 256,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="targets such as queue=4,ttft=2 (requests, queue, kv, ttft), or fixed=3; repeatable",
            show_default=", ".join(_DEFAULTS),
        ),
    ] = None,
    least: Annotated[int, typer.Option(min=1, max=512, help="fewest replicas")] = 1,
    most: Annotated[int, typer.Option(min=1, max=512, help="most replicas")] = 8,
    cold_start: Annotated[float, typer.Option(min=0, max=7200, help="seconds until a new replica serves")] = 120.0,
    every: Annotated[float, typer.Option(min=1, max=600, help="seconds between two decisions")] = 15.0,
    down_window: Annotated[
        float, typer.Option(min=0, max=7200, help="seconds for which the largest count is kept")
    ] = 300.0,
    slo_ttft: Annotated[float, typer.Option(min=0.001, help="promised seconds to the first token")] = 2.0,
    slo_tpot_ms: Annotated[float, typer.Option(min=0.01, help="promised milliseconds a token after it")] = 100.0,
    slots: Annotated[int, typer.Option(min=1, max=4096, help="requests at once on a replica")] = 64,
    config: ConfigOption = None,
    parameters: ParametersOption = None,
    layers: LayersOption = 32,
    width: WidthOption = 4096,
    heads: HeadsOption = 32,
    kv_heads: KvHeadsOption = 8,
    device: DeviceOption = "l4",
    devices: DevicesOption = 1,
    weights: WeightsOption = "int8",
    efficiency: Annotated[
        float, typer.Option(min=0.01, max=1, help="share of the device's peaks that a replica reaches")
    ] = 0.6,
    svg: Annotated[
        Path | None, typer.Option(help="write a chart of replicas and waiting requests", dir_okay=False)
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Replay a trace, or a drawn day, under policies of an autoscaler: promises kept, and replica-seconds."""
    from sluice_cli.planning.roofline import Setup  # noqa: PLC0415 - brings numpy
    from sluice_cli.simulation.autoscaling import Slo, replay  # noqa: PLC0415 - brings numpy
    from sluice_cli.simulation.workload import drawn  # noqa: PLC0415 - brings numpy

    if least > most:
        raise CommandFailed(f"--least ({least}) is above --most ({most}).")
    shape, on = read_shape(config, parameters, layers, width, heads, kv_heads), device_of(device)
    setup = Setup(shape, on, devices, bits_of(weights), compute_efficiency=efficiency, bandwidth_efficiency=efficiency)
    arrivals: Sequence[Arrival] = trace_of(trace) or drawn(
        requests, rate, prompt, answer, spread=0.6, wave=wave, period_s=period_s, seed=seed
    )
    replica = _replica(setup, arrivals, slots)
    found: dict[str, Outcome] = {}
    for text in policy or _DEFAULTS:
        try:
            found[text] = replay(
                arrivals,
                replica,
                _policy(text, least, most, every, cold_start, down_window),
                Slo(slo_ttft, slo_tpot_ms / 1000),
            )
        except ValueError as exc:
            raise CommandFailed(str(exc)) from exc
    if svg is not None:
        _draw(svg, found)
    if as_json:
        show_json({text: one._asdict() for text, one in found.items()})
        return
    say(
        f"{len(arrivals)} requests in {arrivals[-1].at:.0f} s; a replica: {slots} requests, {replica.kv_tokens:,} KV tokens, "
        f"{replica.prefill_tokens_per_s:,.0f} prompt tokens/s, a step of {replica.step_base_s * 1000:.1f} ms and {replica.step_each_s * 1e6:.0f} µs a request"
    )
    show_table(
        ("policy", "kept", "TTFT p50", "p95", "p99", "TPOT p95", "replica-seconds", "most", "changes"),
        [
            (
                *(
                    text,
                    f"{one.attained:.1%}",
                    *(f"{value:.2f} s" for value in (one.ttft_p50, one.ttft_p95, one.ttft_p99)),
                ),
                *(f"{one.tpot_p95 * 1000:.0f} ms", f"{one.replica_seconds:,.0f}", one.most_replicas, one.changes),
            )
            for text, one in found.items()
        ],
    )


def _policy(text: str, least: int, most: int, every: float, cold: float, down: float) -> "Policy":
    from sluice_cli.simulation.autoscaling import Policy, Signal  # noqa: PLC0415 - brings numpy

    targets: list[tuple[Signal, float]] = []
    known = {name: name for name in get_args(Signal)}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError as exc:
            raise CommandFailed(f"--policy is signals with targets, such as queue=4,ttft=2; {part!r} is none.") from exc
        if name == "fixed" and "," not in text and number == int(number) and number >= 1:
            return Policy((), int(number), int(number), every, cold, down)
        if name not in known:
            raise CommandFailed(
                f"There is no signal {name!r}; there are {', '.join(known)}, and fixed=COUNT by itself."
            )
        targets.append((known[name], number))
    return Policy(tuple(targets), least, most, every, cold, down)


def _replica(setup: "Setup", arrivals: "Sequence[Arrival]", slots: int) -> "Replica":
    """Return what one replica does by the roofline, for prompts and contexts of the mean length of the arrivals."""
    from sluice_cli.planning.memory import kv_bytes_per_token, plan_memory  # noqa: PLC0415 - brings numpy
    from sluice_cli.planning.roofline import decode, prefill  # noqa: PLC0415 - brings numpy
    from sluice_cli.simulation.autoscaling import Replica  # noqa: PLC0415 - brings numpy

    prompt = sum(one.prompt for one in arrivals) / len(arrivals)
    context = prompt + sum(one.answer for one in arrivals) / len(arrivals) / 2
    plan = plan_memory(setup.shape, setup.device, devices=setup.devices, bits=setup.bits, tokens=max(1, round(context)))
    if plan.placement != "all_gpu":
        raise CommandFailed(
            f"The model does not fit on {setup.devices} × {setup.device.name}: see `sluice plan memory`."
        )
    each = kv_bytes_per_token(setup.shape)
    room = plan.budget - plan.weights - plan.activations
    one, full = decode(setup, 1, context).seconds, decode(setup, slots, context).seconds
    by_request = (full - one) / (slots - 1) if slots > 1 else 0.0
    return Replica(
        slots=slots,
        kv_tokens=int(room / each) if each else 10**12,
        prefill_tokens_per_s=prompt / prefill(setup, prompt).seconds,
        step_base_s=one - by_request,
        step_each_s=by_request,
    )


def _draw(path: Path, found: "dict[str, Outcome]") -> None:
    from sluice_cli.simulation.chart import stacked_charts  # noqa: PLC0415 - brings numpy

    panels = {
        "replicas": {
            text: [(point.at, float(point.replicas)) for point in one.timeline] for text, one in found.items()
        },
        "running requests": {
            text: [(point.at, float(point.running)) for point in one.timeline] for text, one in found.items()
        },
        "waiting requests": {
            text: [(point.at, float(point.waiting)) for point in one.timeline] for text, one in found.items()
        },
    }
    path.write_text(stacked_charts("sluice simulate autoscaling", panels), encoding="utf-8")
