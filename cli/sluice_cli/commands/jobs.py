"""`sluice eval` and `sluice finetune`: jobs that run in workers."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, path_of
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

eval_app = typer.Typer(help="Evaluation suites and runs.", no_args_is_help=True)
finetune_app = typer.Typer(help="Fine-tuning jobs.", no_args_is_help=True)

_ENDED = frozenset({"completed", "succeeded", "failed", "cancelled"})
_POLL_S = 1.0


@eval_app.command("run")
def eval_run(
    suite: Annotated[Path, typer.Argument(help="a suite file (YAML)", exists=True, dir_okay=False)],
    model: Annotated[str, typer.Option(help="the model or route to evaluate")] = "auto",
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="seconds to wait for the report")] = 1800.0,
) -> None:
    """Upload a suite, run it against a model and print the report."""
    gateway = Gateway.from_settings(CliSettings())
    with suite.open("rb") as file:
        made = gateway.user("POST", "/v1/evals", files={"file": (suite.name, file, "application/yaml")})
    run = gateway.user("POST", path_of("/v1/evals", made["id"], "runs"), json={"model": model})
    path = path_of("/v1/evals", made["id"], "runs", run["id"])
    say(f"suite {made['id']}, run {run['id']}")
    ended = _wait(gateway, path, wait_s)
    if ended["status"] not in ("completed", "succeeded"):
        raise CommandFailed(f"The run ended as {ended['status']}: {ended.get('error') or 'no reason given'}")
    say(gateway.user("GET", f"{path}/report", params={"format": "md"}))


@eval_app.command("bias")
def eval_bias(
    model: Annotated[str, typer.Option(help="the model or route to audit")] = "auto",
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="gender, origin, pronoun, age, religion, disability; may be repeated; none: all"),
    ] = None,
    every_s: Annotated[
        int | None, typer.Option("--every", min=300, help="seconds: repeat the audit that often, and do not wait")
    ] = None,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="seconds to wait for the report")] = 3600.0,
) -> None:
    """Ask a model the same for people who differ in one attribute, and print how the answers differ."""
    gateway = Gateway.from_settings(CliSettings())
    made = gateway.user("POST", "/v1/evals/bias", json={"attributes": attribute or []})
    if every_s is not None:
        show_json(
            gateway.user("PUT", path_of("/v1/evals", made["id"], "schedule"), json={"every_s": every_s, "model": model})
        )
        return
    run = gateway.user("POST", path_of("/v1/evals", made["id"], "runs"), json={"model": model})
    path = path_of("/v1/evals", made["id"], "runs", run["id"])
    say(f"suite {made['id']}, run {run['id']}, {made['items']} prompts")
    ended = _wait(gateway, path, wait_s)
    if ended["status"] not in ("completed", "succeeded"):
        raise CommandFailed(f"The run ended as {ended['status']}: {ended.get('error') or 'no reason given'}")
    report = gateway.user("GET", f"{path}/bias")
    columns = ("attribute", "measure", "gap", "lowest", "highest", "p_value", "notable")
    show_table(columns, [[one[column] for column in columns] for one in report["differences"]])
    say("There are notable differences." if report["notable"] else "No difference is notable.")


@finetune_app.command("start")
def finetune_start(
    file: Annotated[Path, typer.Argument(help="training examples (JSONL)", exists=True, dir_okay=False)],
    model: Annotated[str, typer.Option(help="the model to train")],
    suffix: Annotated[str | None, typer.Option(help="added to the new model's name")] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="seconds to wait for the job's end; 0 does not wait")
    ] = 0.0,
) -> None:
    """Upload a training file and start a job."""
    gateway = Gateway.from_settings(CliSettings())
    with file.open("rb") as data:
        uploaded = gateway.user(
            "POST", "/v1/files", files={"file": (file.name, data, "application/jsonl")}, data={"purpose": "fine-tune"}
        )
    body: dict[str, Any] = {"model": model, "training_file": uploaded["id"]}
    if suffix:
        body["suffix"] = suffix
    job = gateway.user("POST", "/v1/fine_tuning/jobs", json=body)
    say(f"file {uploaded['id']}, job {job['id']}")
    if wait_s:
        job = _wait(gateway, path_of("/v1/fine_tuning/jobs", job["id"]), wait_s)
    show_json(job)
    if job["status"] == "failed":
        raise CommandFailed(f"The job failed: {job['error']['message']}")


@finetune_app.command("check")
def finetune_check(
    file: Annotated[Path, typer.Argument(help="training examples (JSONL)", exists=True, dir_okay=False)],
    policy: Annotated[str, typer.Option(help="the guard policy that says what is looked for")] = "default",
    allowed: Annotated[
        list[str] | None, typer.Option("--license", help="a licence that lines may have; may be repeated; none: any")
    ] = None,
    max_examples: Annotated[int, typer.Option(min=1, max=20_000, help="examples that are read at most")] = 2000,
) -> None:
    """Check a training file for personal data, secrets, harm and licences; status 1 when it does not comply."""
    gateway = Gateway.from_settings(CliSettings())
    with file.open("rb") as data:
        uploaded = gateway.user(
            "POST", "/v1/files", files={"file": (file.name, data, "application/jsonl")}, data={"purpose": "fine-tune"}
        )
    body = {"policy": policy, "licenses": allowed or [], "max_examples": max_examples}
    report = gateway.user("POST", path_of("/v1/files", uploaded["id"], "compliance"), json=body, timeout=600.0)
    show_json(report)
    if not report["compliant"]:
        raise CommandFailed(
            f"{file.name} does not comply: see `findings` by line. The uploaded file is {uploaded['id']}."
        )


@finetune_app.command("status")
def finetune_status(job_id: Annotated[str, typer.Argument(help="the job's id")]) -> None:
    """Show a job and its events."""
    gateway = Gateway.from_settings(CliSettings())
    show_json(gateway.user("GET", path_of("/v1/fine_tuning/jobs", job_id)))
    events = gateway.user("GET", path_of("/v1/fine_tuning/jobs", job_id, "events"), params={"limit": 50})
    for event in reversed(events["data"]):
        say(f"{event['created_at']} {event['level']}: {event['message']}")


def _wait(gateway: Gateway, path: str, wait_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + wait_s
    shown = ""
    while True:
        found: dict[str, Any] = gateway.user("GET", path)
        if found["status"] != shown:
            shown = found["status"]
            say(f"  {shown}")
        if shown in _ENDED:
            return found
        if time.monotonic() > deadline:
            raise CommandFailed(f"Still {shown} after {wait_s:.0f} s; it goes on. Look again with GET {path}.")
        time.sleep(_POLL_S)
