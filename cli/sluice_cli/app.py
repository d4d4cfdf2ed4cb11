"""The commands as one application."""

import os
import sys
from collections.abc import Callable

import typer
from pydantic import ValidationError

from sluice.sentences import faults
from sluice_cli.commands import audit, data, jobs, keys, lifecycle, orgs, talk, teams
from sluice_cli.platform.errors import CommandFailed

app = typer.Typer(
    name="sluice",
    help="Start the Sluice platform on this machine and talk to it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_COMMANDS: tuple[Callable[..., None], ...] = (
    *(lifecycle.up, lifecycle.down, lifecycle.status, lifecycle.logs),
    *(talk.chat, talk.models, talk.usage, talk.trace),
    *(data.ingest, data.search, data.feedback),
)
for command in _COMMANDS:
    app.command()(command)
app.add_typer(orgs.app, name="orgs")
app.add_typer(teams.app, name="teams")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(jobs.eval_app, name="eval")
app.add_typer(jobs.finetune_app, name="finetune")


def run() -> None:
    """Run the command; what cannot be done ends in one sentence and status 1, a wrong setting in status 2."""
    try:
        app()
    except CommandFailed as exc:
        print(exc, file=sys.stderr)
        sys.exit(1)
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
