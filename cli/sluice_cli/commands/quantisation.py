"""`sluice eval quantisation`: what a quantised model lost, measured on engines that run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sluice_cli.client import Gateway
from sluice_cli.output import progress, say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.quantisation.engine import Engine
from sluice_cli.quantisation.loss import Loss, Measured, compare, windows
from sluice_cli.quantisation.served import served
from sluice_cli.settings import CliSettings

_MEGA = 1e6
_MOST_THREADS = 8


def quantisation(
    targets: Annotated[
        list[str],
        typer.Argument(
            help="the base first, then its quantisations: GGUF files, base URLs of engines (http://…/v1), or models of the platform",
            metavar="BASE OTHER…",
        ),
    ],
    text: Annotated[
        Path, typer.Option("--text", exists=True, dir_okay=False, help="text that it is measured on (UTF-8)")
    ],
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            exists=True,
            dir_okay=False,
            help="questions to answer, one a line; else the text is gone on with",
        ),
    ] = None,
    window: Annotated[int, typer.Option(min=100, max=100_000, help="characters that are read together")] = 1000,
    most: Annotated[int, typer.Option("--windows", min=1, max=1000, help="how many of them")] = 8,
    answer_tokens: Annotated[int, typer.Option(min=2, max=4096, help="longest answer")] = 48,
    threads: Annotated[int, typer.Option(min=0, max=256, help="of llama.cpp for files; 0: every core, at most 8")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure what quantisations of a model lose: perplexity, the same next token, the same answers, size and speed.

    One after the other they read the same windows of the text, and answer greedily. Engines that tell no log-probabilities of a text
    (a model of the platform on llama.cpp: name the engine's URL instead) are compared by answers only.
    """
    try:
        pieces = windows(text.read_text(encoding="utf-8"), window, most)
    except (ValueError, UnicodeDecodeError) as exc:
        raise CommandFailed(f"{text}: {exc}") from exc
    asked = [piece[: len(piece) // 2] for piece in pieces]
    if prompts is not None:
        asked = [line.strip() for line in prompts.read_text(encoding="utf-8").splitlines() if line.strip()]
    measured = []
    for target in targets:
        with progress(f"measuring {target}") as told, _opened(target, 2 * window, threads) as engine:
            measured.append(_measure(target, engine, pieces, asked, answer_tokens, chat=prompts is not None))
            seconds = told()
        if not as_json:
            say(f"{target}: {seconds:.0f} s")
    rows = [compare(measured[0], one) for one in measured]
    if as_json:
        show_json([row._asdict() for row in rows])
        return
    _show(rows)


@contextmanager
def _opened(target: str, context_tokens: int, threads: int) -> Iterator[Engine]:
    if target.startswith(("http://", "https://")):
        with Engine.at(target) as engine:
            yield engine
    elif target.endswith(".gguf"):
        if not Path(target).is_file():
            raise CommandFailed(f"There is no file {target}.")
        cores = len(os.sched_getaffinity(0))
        with served(
            Path(target), context_tokens=context_tokens, threads=threads or min(cores, _MOST_THREADS)
        ) as engine:
            yield engine
    else:
        gateway = Gateway.from_settings(CliSettings())
        if not gateway.api_key:
            raise CommandFailed("No API key is known. Set SLUICE_API_KEY, or start the platform here with `sluice up`.")
        with Engine(f"{gateway.url}/v1", target, gateway.api_key) as engine:
            yield engine


def _measure(name: str, engine: Engine, pieces: list[str], asked: list[str], most: int, *, chat: bool) -> Measured:
    size, form = engine.about()
    scored = [engine.score(pieces[0])]
    if scored[0] is not None:
        scored += [engine.score(piece) for piece in pieces[1:]]
    return Measured(
        name=Path(name).name if name.endswith(".gguf") else name,
        size_bytes=size,
        format=form,
        scored=None if any(one is None for one in scored) else tuple(one for one in scored if one is not None),
        text_bytes=sum(len(piece.encode()) for piece in pieces),
        answers=tuple(engine.answer(prompt, most, chat=chat) for prompt in asked),
    )


def _show(rows: list[Loss]) -> None:
    show_table(
        (
            "model",
            "MB",
            "weights",
            "perplexity",
            "bits a byte",
            "loss",
            "95 %",
            "same next token",
            "same answers",
            "same start",
            "tokens/s",
        ),
        [
            (
                *(row.name, None if row.size_bytes is None else f"{row.size_bytes / _MEGA:.1f}", row.format),
                *(_number(row.perplexity, ".3f"), _number(row.bits_per_byte, ".4f"), _number(row.loss, "+.2%")),
                None if row.loss_low is None else f"{row.loss_low:+.2%} to {row.loss_high:+.2%}",
                *(_number(row.same_token, ".1%"), _number(row.same_answers, ".0%"), _number(row.same_start, ".0%")),
                _number(row.tokens_per_second, ".1f"),
            )
            for row in rows
        ],
    )
    if rows[0].perplexity is None:
        say(f"{rows[0].name} tells no log-probabilities of a text, so there is no perplexity to compare with.")
    else:
        say(
            f"{rows[0].tokens} tokens were read. Loss is how much larger the perplexity is than that of {rows[0].name}."
        )


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)
