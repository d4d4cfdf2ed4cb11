"""`sluice simulate`: what batching, speculation, quantisation, sampling and caches do, with numbers of one's own; needs no platform."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

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

app = typer.Typer(
    help="Simulators and reference implementations: batching, speculation, quantisation, sampling, KV cache, pipelines.",
    no_args_is_help=True,
)
TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        help="JSON lines with at, prompt_tokens, completion_tokens (`sluice usage export --format jsonl`); else drawn",
        exists=True,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="the same seed draws the same numbers", min=0)]
# numpy takes a tenth of a second to import, which the other commands need not wait for: imports stand in the functions.


@app.command()
def batching(
    trace: TraceOption = None,
    requests: Annotated[int, typer.Option(min=1, max=20_000, help="how many are drawn")] = 300,
    rate: Annotated[float, typer.Option(min=0.001, help="requests a second")] = 8.0,
    prompt: Annotated[int, typer.Option(min=1, help="mean tokens of a prompt")] = 512,
    answer: Annotated[int, typer.Option(min=1, help="mean tokens of an answer")] = 128,
    spread: Annotated[
        float, typer.Option(min=0, max=3, help="standard deviation of the lengths' logarithm; 0: all alike")
    ] = 0.8,
    dynamic_batch: Annotated[int, typer.Option(min=1, max=4096, help="requests of a dynamic batch")] = 32,
    max_wait_ms: Annotated[float, typer.Option(min=0, help="how long a dynamic batch waits for more")] = 10.0,
    continuous_batch: Annotated[int, typer.Option(min=1, max=4096, help="requests of a continuous batch")] = 64,
    step_tokens: Annotated[int, typer.Option(min=1, help="tokens of a step of continuous batching")] = 2048,
    config: ConfigOption = None,
    parameters: ParametersOption = None,
    layers: LayersOption = 32,
    width: WidthOption = 4096,
    heads: HeadsOption = 32,
    kv_heads: KvHeadsOption = 8,
    device: DeviceOption = "a100-80gb",
    devices: DevicesOption = 1,
    weights: WeightsOption = "fp16",
    overhead_ms: Annotated[float, typer.Option(min=0, help="time of a step that is neither work nor memory")] = 2.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Serve the same requests one by one, in dynamic batches, in batches grouped by length, and continuously; step times are the roofline's."""
    from sluice_cli.planning import roofline  # noqa: PLC0415 - brings numpy
    from sluice_cli.simulation.batching import Limits, Policy, simulate  # noqa: PLC0415 - brings numpy
    from sluice_cli.simulation.workload import drawn  # noqa: PLC0415 - brings numpy

    shape = read_shape(config, parameters, layers, width, heads, kv_heads)
    setup = roofline.Setup(shape, device_of(device), devices, bits_of(weights), overhead_s=overhead_ms / 1000)
    arrivals = trace_of(trace) or drawn(requests, rate, prompt, answer, spread=spread, seed=seed)
    if step_tokens < continuous_batch:
        raise CommandFailed(f"--step-tokens is at least --continuous-batch ({continuous_batch}).")

    def seconds(tokens: float, pairs: float, held: float) -> float:
        return roofline.step(setup, tokens, pairs, held).seconds

    found = {
        policy: simulate(
            arrivals,
            policy,
            Limits(continuous_batch if policy == "continuous" else dynamic_batch, max_wait_ms / 1000, step_tokens),
            seconds,
        )
        for policy in get_args(Policy)
    }
    if as_json:
        show_json({policy: one._asdict() for policy, one in found.items()})
        return
    say(
        f"{len(arrivals)} requests, {sum(one.answer for one in arrivals) / len(arrivals):.0f} tokens an answer; {device}, {weights}"
    )
    show_table(
        ("policy", "tokens/s", "requests/s", "batch", "padding", "TTFT p50", "p95", "latency p50", "p95", "p99"),
        [
            (
                *(
                    policy,
                    f"{one.tokens_per_second:.0f}",
                    f"{one.requests_per_second:.2f}",
                    f"{one.mean_batch:.1f}",
                    f"{one.waste:.0%}",
                ),
                *(
                    f"{value:.2f} s"
                    for value in (one.ttft_p50, one.ttft_p95, one.latency_p50, one.latency_p95, one.latency_p99)
                ),
            )
            for policy, one in found.items()
        ],
    )


def trace_of(path: Path | None) -> Any:
    """Return the arrivals of a trace, or None without one.

    Raises:
        CommandFailed: it cannot be read.
    """
    from sluice_cli.simulation.workload import BadTrace, read_trace  # noqa: PLC0415 - brings numpy

    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as lines:
            return read_trace(lines)
    except (BadTrace, UnicodeDecodeError) as exc:
        raise CommandFailed(f"{path}: {exc}.") from exc


@app.command()
def speculation(
    guesses: Annotated[int, typer.Option(min=1, max=16, help="tokens that the draft model runs ahead")] = 4,
    nearness: Annotated[
        float, typer.Option(min=0, max=1, help="how like the target the draft is: 1 is equal, 0 knows nothing")
    ] = 0.8,
    draft_cost: Annotated[float, typer.Option(min=0, max=1, help="a draft step's share of a target step")] = 0.1,
    vocabulary: Annotated[int, typer.Option(min=2, max=1000, help="tokens that both models know")] = 16,
    tokens: Annotated[int, typer.Option(min=100, max=200_000, help="how many are generated")] = 10_000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Generate with speculative decoding, and test that the tokens follow the target model's distribution."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.attention import softmax  # noqa: PLC0415 - brings numpy
    from sluice_cli.reference.speculative import acceptance, expected_tokens, speculate, speed_up  # noqa: PLC0415 - brings numpy
    from sluice_cli.reference.statistics import chi_square  # noqa: PLC0415 - brings numpy

    dice = np.random.default_rng(seed)
    own, other = dice.normal(0, 1.5, vocabulary), dice.normal(0, 1.5, vocabulary)
    p, q = softmax(own), softmax(nearness * own + (1 - nearness) * other)
    counts, steps, kept = [0] * vocabulary, 0, 0
    while sum(counts) < tokens:
        one = speculate(lambda _: p, lambda _: q, (), guesses, dice)
        steps, kept = steps + 1, kept + one.accepted
        for token in one.tokens:
            counts[token] += 1
    test, alpha = chi_square(counts, [float(value) for value in p]), acceptance(p, q)
    rows: dict[str, float] = {
        "probability that a guess is kept": alpha,
        "tokens a step": sum(counts) / steps,
        "tokens a step by the formula": expected_tokens(alpha, guesses),
        "guesses kept a step": kept / steps,
        "times faster by the formula": speed_up(alpha, guesses, draft_cost),
        "chi-square": test.statistic,
        "degrees of freedom": test.freedom,
        "p-value (below 0.001: not the target's distribution)": test.p_value,
    }
    if as_json:
        show_json(rows)
    else:
        show_table(("measure", "value"), [(name, f"{value:.4g}") for name, value in rows.items()])


@app.command()
def quantisation(
    rows: Annotated[int, typer.Option(min=1, max=8192, help="of the matrix")] = 256,
    columns: Annotated[int, typer.Option(min=128, max=8192, help="a multiple of 128")] = 1024,
    outliers: Annotated[float, typer.Option(min=0, max=0.1, help="share of weights that are ten times larger")] = 0.001,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Quantise a random matrix of weights and its input in the usual ways, and measure what is lost."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.quantisation import Calibration, absmax, affine, relative_error  # noqa: PLC0415 - brings numpy

    if columns % 128:
        raise CommandFailed(f"--columns is a multiple of 128, so that groups fit; {columns} is not.")
    dice = np.random.default_rng(seed)
    matrix = dice.normal(0, 0.02, (rows, columns))
    matrix[dice.random(matrix.shape) < outliers] *= 10
    x = dice.normal(0, 1, (64, columns))
    ways = {
        "INT8, one scale": absmax(matrix, 8),
        "INT8, a scale for each row": absmax(matrix, 8, columns),
        "INT4, one scale": absmax(matrix, 4),
        "INT4, a scale for each row": absmax(matrix, 4, columns),
        "INT4, groups of 128": absmax(matrix, 4, 128),
        "INT4, groups of 32": absmax(matrix, 4, 32),
    }
    calibrated = affine(x, Calibration.of([dice.normal(0, 1, x.shape) for _ in range(8)]))
    found = [
        {
            "way": name,
            "bits": one.bits_per_value,
            "saved": 1 - one.bits_per_value / 32,
            "weights_error": relative_error(matrix, one.restored()),
            "output_error": relative_error(x @ matrix.T, x @ one.restored().T),
            "largest_error_in_steps": float(
                (np.abs(matrix - one.restored()).reshape(len(one.scales), -1).max(axis=1) / one.scales).max()
            ),
        }
        for name, one in ways.items()
    ]
    with_input = relative_error(x @ matrix.T, calibrated.restored() @ ways["INT8, a scale for each row"].restored().T)
    if as_json:
        show_json({"ways": found, "int8_with_calibrated_input_output_error": with_input})
        return
    show_table(
        ("weights", "bits", "saved of FP32", "error of weights", "error of output", "largest error (steps)"),
        [
            (
                row["way"],
                f"{row['bits']:.3g}",
                f"{row['saved']:.1%}",
                f"{row['weights_error']:.2%}",
                f"{row['output_error']:.2%}",
                f"{row['largest_error_in_steps']:.3f}",
            )
            for row in found
        ],
    )
    say(
        f"INT8 rows with calibrated INT8 input (range/255): {with_input:.2%} error of output. What a model loses is measured by `sluice eval quantisation`."
    )


@app.command()
def sampling(
    logits: Annotated[
        str, typer.Argument(help="natural-log scores of the tokens, separated by commas")
    ] = "2.0,1.5,1.0,0.5,0,-1",
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 takes the likeliest token")] = 1.0,
    top_k: Annotated[int | None, typer.Option(min=1, help="keep so many of the likeliest tokens")] = None,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="keep the likeliest tokens that add up to it")] = 1.0,
    draws: Annotated[int, typer.Option(min=0, max=1_000_000, help="tokens to draw")] = 1000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Show what temperature, top-k and top-p leave of a distribution, and what is drawn from it."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.sampling import draw, probabilities  # noqa: PLC0415 - brings numpy

    try:
        scores = np.array([float(part) for part in logits.split(",")])
        plain = probabilities(scores)
        left = probabilities(scores, temperature=temperature, top_k=top_k, top_p=top_p)
    except ValueError as exc:
        raise CommandFailed(str(exc)) from exc
    dice = np.random.default_rng(seed)
    counts = np.bincount([draw(left, dice) for _ in range(draws)], minlength=len(scores))
    table = [
        (index, float(scores[index]), float(plain[index]), float(left[index]), int(counts[index]))
        for index in range(len(scores))
    ]
    if as_json:
        show_json([dict(zip(("token", "logit", "before", "after", "drawn"), row, strict=True)) for row in table])
        return
    show_table(
        ("token", "logit", "before", "after", "drawn"), [(a, b, f"{c:.4f}", f"{d:.4f}", e) for a, b, c, d, e in table]
    )


@app.command()
def cache(
    tokens: Annotated[int, typer.Option(min=2, max=512, help="tokens of each of the two sequences")] = 128,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run a small transformer with and without its KV cache, for multi-head, grouped-query and multi-query attention."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.attention import attention, blockwise_attention, causal_mask  # noqa: PLC0415 - brings numpy
    from sluice_cli.reference.transformer import Shape, Transformer  # noqa: PLC0415 - brings numpy

    dice = np.random.default_rng(seed)
    found = []
    for name, kv_heads in (("multi-head", 8), ("grouped-query", 2), ("multi-query", 1)):
        shape = Shape(heads=8, kv_heads=kv_heads, width=64, inner=128, context=tokens)
        model = Transformer.random(shape, seed)
        ids = dice.integers(0, shape.vocabulary, (2, tokens))
        caches = model.new_cache(2, tokens)
        steps = [model.logits(ids[:, at : at + 1], caches=caches) for at in range(tokens)]
        difference = float(np.abs(np.concatenate(steps, axis=1) - model.logits(ids)).max())
        kept = 2 * shape.layers * kv_heads * (shape.width // shape.heads)
        found.append(
            {"attention": name, "kv_heads": kv_heads, "numbers_a_token": kept, "largest_difference": difference}
        )
    q, k, v = (dice.normal(0, 1, (8, tokens, 32)) for _ in range(3))
    blocks = float(
        np.abs(
            blockwise_attention(q, k, v, block=16, causal=True) - attention(q, k, v, causal_mask(tokens, tokens))
        ).max()
    )
    without, cached = tokens * (tokens + 1) // 2, tokens
    if as_json:
        show_json(
            {"cache": found, "positions_without": without, "positions_with": cached, "blockwise_difference": blocks}
        )
        return
    show_table(
        ("attention", "KV heads", "numbers kept a token", "largest difference to no cache"),
        [
            (row["attention"], row["kv_heads"], row["numbers_a_token"], f"{row['largest_difference']:.1e}")
            for row in found
        ],
    )
    say(
        f"Positions computed for {tokens} tokens: {without} without a cache, {cached} with one. Attention in blocks of 16 keys differs by {blocks:.1e}."
    )


@app.command()
def pipeline(
    stages: Annotated[int, typer.Option(min=1, max=64, help="devices, one after the other")] = 4,
    micro_batches: Annotated[int, typer.Option(min=1, max=512, help="parts of a batch")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Show which part of a batch each stage of a pipeline works on at each tick, and how long stages wait."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.parallel import pipeline as run  # noqa: PLC0415 - brings numpy

    found = run(np.zeros((micro_batches, 1)), [lambda x: x] * stages, micro_batches)
    if as_json:
        show_json({"ticks": len(found.schedule), "bubble": found.bubble, "schedule": found.schedule})
        return
    for stage in range(stages):
        say(
            f"stage {stage + 1:>2}  "
            + " ".join(f"{'·' if tick[stage] is None else (tick[stage] or 0) + 1:>3}" for tick in found.schedule)
        )
    say(f"{len(found.schedule)} ticks; stages wait {found.bubble:.1%} of them ((stages - 1) / (parts + stages - 1)).")


@app.command()
def tensor(
    devices: Annotated[int, typer.Option(min=1, max=64, help="over which the layer is cut")] = 4,
    tokens: Annotated[int, typer.Option(min=1, max=4096, help="rows of the activation")] = 64,
    width: Annotated[int, typer.Option(min=1, max=4096, help="of the model")] = 512,
    inner: Annotated[
        int, typer.Option(min=1, max=16384, help="of its feed-forward layer; a multiple of --devices")
    ] = 2048,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Cut a feed-forward layer over devices in columns and rows, compare it with the whole one, and count what is sent."""
    import numpy as np  # noqa: PLC0415 - brings numpy

    from sluice_cli.reference.parallel import all_reduce_bytes, tensor_parallel  # noqa: PLC0415 - brings numpy

    dice = np.random.default_rng(seed)
    x, up, down = dice.normal(size=(tokens, width)), dice.normal(size=(width, inner)), dice.normal(size=(inner, width))
    whole = np.maximum(0.0, x @ up) @ down
    try:
        split = tensor_parallel(x, up, down, devices)
    except ValueError as exc:
        raise CommandFailed(str(exc)) from exc
    rows: dict[str, float] = {
        "weights of a device": (up.size + down.size) / devices,
        "weights of the whole layer": up.size + down.size,
        "largest difference to the whole layer, relative": float(np.abs(split - whole).max() / np.abs(whole).max()),
        "bytes a device sends (one all-reduce, FP16)": all_reduce_bytes(tokens * width, devices),
        "bytes if the activation between the two travelled": (devices - 1) / devices * tokens * inner * 2,
    }
    if as_json:
        show_json(rows)
    else:
        show_table(("measure", "value"), [(name, f"{value:.6g}") for name, value in rows.items()])
