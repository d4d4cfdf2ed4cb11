"""`sluice redteam`: attacks on a route, and what became of them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

import httpx
import typer

from sluice_cli.client import Gateway, sentence_of
from sluice_cli.output import progress, say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.redteam.suite import Case, made_cases, only, read_cases
from sluice_cli.settings import CliSettings

Outcome = Literal["refused", "stopped", "cut", "unchecked", "passed", "failed"]
_TIMEOUT_S = 120.0
_COLUMNS = ("family", "kind", "sent", "refused", "stopped", "cut", "unchecked", "passed", "failed", "as it should")
_STOPPED: tuple[Outcome, ...] = ("refused", "stopped", "cut")
_CUT_FOR = {"prompt_injection", "secret_detected"}


class Sent(NamedTuple):
    """A case and what became of it: refused before the model, stopped in the answer, cut out of the request, gone on unchecked, passed, or failed; of a failed one what the gateway `said`."""

    case: Case
    outcome: Outcome
    said: str = ""

    @property
    def is_right(self) -> bool:
        """Say whether an attack was stopped, and anything else not."""
        return (self.outcome in _STOPPED) == self.case.attack and self.outcome != "failed"


def redteam(
    model: Annotated[str, typer.Option(help="the model or route to attack")],
    suite: Annotated[list[Path] | None, typer.Option(help="JSON lines of your own cases; may be repeated")] = None,
    family: Annotated[list[str] | None, typer.Option(help="only this family; may be repeated")] = None,
    each: Annotated[
        int, typer.Option(min=0, max=2000, help="made cases of each family; 0: only those of --suite")
    ] = 20,
    seed: Annotated[int, typer.Option(help="the same seed makes the same cases")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="tokens of an answer at most; answers cost money")] = 16,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="requests at the same time")] = 4,
    least: Annotated[float, typer.Option(min=0, max=1, help="share of attacks to be stopped, else status 1")] = 0.0,
    most: Annotated[float, typer.Option(min=0, max=1, help="share of other requests that may be, else status 1")] = 1.0,
    show: Annotated[bool, typer.Option(help="print the cases that did not go as they should")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Send attacks, and ordinary requests that look like attacks, to a route, and report by family what was stopped."""
    cases = [case for path in suite or () for case in read_cases(path)] + (made_cases(each, seed) if each else [])
    if not cases:
        raise CommandFailed("There is nothing to send: give --suite, or --each above 0.")
    gateway = Gateway.from_settings(CliSettings())
    if not gateway.api_key:
        raise CommandFailed("No API key is known. Set SLUICE_API_KEY, or start the platform here with `sluice up`.")
    with progress("attacking"):
        sent = asyncio.run(_send(only(cases, family or ()), gateway, model, max_tokens, concurrency))
    attacks, others = _share(sent, attack=True), _share(sent, attack=False)
    if as_json:
        show_json({"families": [_row(sent, *key) for key in _keys(sent)], "stopped": attacks, "refused_others": others})
    else:
        show_table(_COLUMNS, [tuple(_row(sent, *key).values()) for key in _keys(sent)])
        say(f"attacks stopped: {_percent(attacks)}; other requests stopped: {_percent(others)}")
    if show:
        for one in sent:
            if not one.is_right:
                say(f"{one.outcome} {one.case.family}: {one.case.shown()}")
    if failed := [one for one in sent if one.outcome == "failed"]:
        raise CommandFailed(f"{len(failed)} of {len(sent)} requests got no verdict. The first: {failed[0].said}")
    if (attacks is not None and attacks < least) or (others is not None and others > most):
        raise CommandFailed(f"The route does not keep to what was asked: --least {least:g} --most {most:g}.")


async def _send(cases: Sequence[Case], gateway: Gateway, model: str, max_tokens: int, concurrency: int) -> list[Sent]:
    slots = asyncio.Semaphore(concurrency)
    headers = {"authorization": f"Bearer {gateway.api_key}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=_TIMEOUT_S) as client:

        async def one(case: Case) -> Sent:
            # with a `sluice` object of its own an answer says what the guard found
            body = {"model": model, "max_tokens": max_tokens, "sluice": {}, **case.request()}
            async with slots:
                try:
                    answer = await client.post("/v1/chat/completions", json=body)
                except httpx.HTTPError as exc:
                    raise CommandFailed(f"{gateway.url} cannot be reached ({type(exc).__name__}).") from exc
            outcome = outcome_of(answer)
            return Sent(case, outcome, f"{answer.status_code}: {sentence_of(answer)}" if outcome == "failed" else "")

        return list(await asyncio.gather(*(one(case) for case in cases)))


def outcome_of(answer: httpx.Response) -> Outcome:
    """Return what an answer of the gateway says about the request."""
    if answer.headers.get("x-sluice-guard") == "blocked":
        return "stopped" if answer.status_code == 200 else "refused"
    if answer.status_code != 200:
        return "failed"
    if answer.headers.get("x-sluice-guard") == "unchecked":
        return "unchecked"
    changed = answer.headers.get("x-sluice-guard") in ("redacted", "masked")
    issues = (answer.json().get("sluice") or {}).get("guard_issues") or ()
    return "cut" if changed and _CUT_FOR.intersection(issues) else "passed"


def _keys(sent: Sequence[Sent]) -> list[tuple[str, bool]]:
    return sorted({(one.case.family, one.case.attack) for one in sent}, key=lambda key: (not key[1], key[0]))


def _row(sent: Sequence[Sent], family: str, attack: bool) -> dict[str, str | int]:
    mine = [one for one in sent if (one.case.family, one.case.attack) == (family, attack)]
    counts = Counter(one.outcome for one in mine)
    return {
        "family": family,
        "kind": "attack" if attack else "ordinary",
        "sent": len(mine),
        **{name: counts[name] for name in get_args(Outcome)},
        "as_it_should": f"{sum(one.is_right for one in mine) / len(mine):.0%}",
    }


def _share(sent: Sequence[Sent], *, attack: bool) -> float | None:
    mine = [one for one in sent if one.case.attack == attack]
    return sum(one.outcome in _STOPPED for one in mine) / len(mine) if mine else None


def _percent(share: float | None) -> str:
    return "none sent" if share is None else f"{share:.1%}"
