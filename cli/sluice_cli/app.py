"""The commands as one application."""

import os
import sys
from collections.abc import Callable

import typer
from pydantic import ValidationError

from sluice.sentences import faults
from sluice_cli.commands import (
    audit,
    autoscaling,
    budgets,
    cache,
    chunk,
    data,
    embeddings,
    engines,
    guard,
    ingest,
    jobs,
    kept,
    keys,
    lifecycle,
    memories,
    orgs,
    plan,
    prices,
    prompts,
    quantisation,
    quotas,
    redteam,
    registry,
    reviews,
    router,
    similarity,
    talk,
    teams,
    transcripts,
    usage,
)
from sluice_cli.platform.errors import CommandFailed

_COMMANDS: tuple[Callable[..., None], ...] = (
    *(lifecycle.up, lifecycle.down, lifecycle.status, lifecycle.logs),
    *(talk.chat, talk.trace, budgets.budgets, quotas.quotas),
    *(
        ingest.ingest,
        chunk.chunk,
        embeddings.embeddings,
        data.search,
        similarity.similarity,
        data.feedback,
        redteam.redteam,
    ),
)
_GROUPS: tuple[tuple[str, typer.Typer], ...] = (
    *(("orgs", orgs.app), ("teams", teams.app), ("keys", keys.app), ("audit", audit.app), ("usage", usage.app)),
    *(("models", registry.models_app), ("deployments", registry.deployments_app), ("routes", registry.routes_app)),
    *(("policies", registry.policies_app), ("aliases", registry.aliases_app)),
    *(("engines", engines.engines_app), ("adapters", engines.adapters_app)),
    ("prices", prices.app),
    *(("prompts", prompts.app), ("transcripts", transcripts.app)),
    *(("responses", kept.responses), ("conversations", kept.conversations)),
    *(("memories", memories.app), ("cache", cache.app)),
    *(("reviews", reviews.app), ("guard", guard.app)),
    *(("eval", jobs.eval_app), ("finetune", jobs.finetune_app), ("router", router.app)),
    *(("plan", plan.app), ("simulate", autoscaling.app)),
)


def _application() -> typer.Typer:
    made = typer.Typer(
        name="sluice",
        help="Start the Sluice platform on this machine and talk to it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for command in _COMMANDS:
        made.command()(command)
    jobs.eval_app.command()(quantisation.quantisation)
    for name, group in _GROUPS:
        made.add_typer(group, name=name)
    return made


app = _application()


def run() -> None:
    """Run the command; what cannot be done ends in one sentence and status 1 (2 where 1 is an answer), a wrong setting in status 2."""
    try:
        app()
    except CommandFailed as exc:
        print(exc, file=sys.stderr)
        sys.exit(exc.exit_status)
    except BrokenPipeError:
        # Who reads has ended (`sluice usage | head`); what is left is dropped without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as exc:
        print(f"{exc.filename or 'sluice'}: {exc.strerror or exc}", file=sys.stderr)
        sys.exit(1)
    except ValidationError as exc:
        for fault in faults([{**problem, "loc": (f"SLUICE_{problem['loc'][0]}".upper(),)} for problem in exc.errors()]):
            print(fault.sentence, file=sys.stderr)
        sys.exit(2)
