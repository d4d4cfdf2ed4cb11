"""`sluice models`, `deployments`, `routes`, `policies` and `aliases`: what the router knows, made and changed through the API."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.commands.talk import list_models
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings
from sluice_cli.written import document

Name = Annotated[str, typer.Argument(help="its name")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check it and change nothing")]
IfVersion = Annotated[
    int | None, typer.Option(min=1, help="only if it is still at this version, as `show` and `list` say it")
]


class Kind(NamedTuple):
    """One kind of object: its path, its word, and the cells of its row in a list."""

    many: str
    one: str
    columns: tuple[str, ...]
    cells: Callable[[dict[str, Any]], tuple[object, ...]]

    @property
    def article(self) -> str:
        """The article of its word."""
        return "an" if self.one[0] in "aeiou" else "a"


def _model(found: dict[str, Any]) -> tuple[object, ...]:
    spec, size = found["spec"], found.get("size")
    said = None if size is None else f"{size['category']} ({size['fp16_gb']:g} GB)"
    return spec["kind"], spec["context_tokens"], said, len(spec["deployments"]), spec["policy"]


def _route(found: dict[str, Any]) -> tuple[object, ...]:
    spec = found["spec"]
    return ", ".join(spec["candidates"]), ", ".join(spec["fallbacks"]), spec["prefer"], spec["policy"]


def _policy(found: dict[str, Any]) -> tuple[object, ...]:
    spec = found["spec"]
    return spec["guard_input"], spec["guard_output"], "on" if spec["cache"] else "off", spec["deadline_s"]


KINDS = (
    Kind("models", "model", ("kind", "context", "size", "deployments", "policy"), _model),
    Kind("routes", "route", ("candidates", "fallbacks", "prefer", "policy"), _route),
    Kind("policies", "policy", ("input", "output", "cache", "deadline"), _policy),
    Kind("aliases", "alias", ("model",), lambda found: (found["spec"]["model"],)),
)


def application(kind: Kind) -> typer.Typer:
    """Return the commands of one kind."""
    app = typer.Typer(
        help=f"{kind.many.capitalize()} of the router (administrator).", no_args_is_help=kind.one != "model"
    )

    def listed(
        declared_in: Annotated[
            Literal["file", "api"] | None, typer.Option(help="of models.yaml, or made through the API")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        query = {"declared_in": declared_in} if declared_in else {}
        found = list(every(_gateway().admin, "/admin/" + kind.many, query))
        if as_json:
            show_json(found)
            return
        rows = [(one["name"], *kind.cells(one), one["declared_in"], one["version"], _state(one)) for one in found]
        show_table((kind.one, *kind.columns, "from", "version", "state"), rows, folded="state")

    def show(name: Name) -> None:
        show_json(_gateway().admin("GET", _path(kind.many, name)))

    def apply(file: _File, dry_run: DryRun = False) -> None:
        gateway = _gateway()
        for spec in _documents(file):
            done = gateway.admin("PUT", _path(kind.many, _name_of(spec, file)), json=spec, params={"dry_run": dry_run})
            _tell(kind.one, done, dry_run=dry_run)

    def change(name: Name, fields: _Fields, if_version: IfVersion = None, dry_run: DryRun = False) -> None:
        done = _gateway().admin(
            "PATCH",
            _path(kind.many, name),
            json=_patch(fields),
            params={"dry_run": dry_run},
            headers=_precondition(if_version),
        )
        _tell(kind.one, done, dry_run=dry_run)

    def delete(name: Name, if_version: IfVersion = None) -> None:
        gone = _gateway().admin("DELETE", _path(kind.many, name), headers=_precondition(if_version))
        say(f"{kind.one} {name} is deleted (version {gone['version']}).")

    app.command("list", help=f"List {kind.many}: those of models.yaml and those made through the API.")(listed)
    app.command("show", help=f"Show {kind.article} {kind.one} as JSON.")(show)
    app.command("apply", help=f"Make or replace the {kind.many} of a YAML or JSON file; `-` reads what is piped in.")(
        apply
    )
    app.command(
        "set", help=f"Change fields of {kind.article} {kind.one}: FIELD=VALUE, with dots inside; null takes one back."
    )(change)
    app.command("delete", help=f"Delete {kind.article} {kind.one} that nothing else names.")(delete)
    return app


_File = Annotated[Path, typer.Argument(help="a YAML or JSON file with one object or a list, or `-`")]
_Fields = Annotated[list[str], typer.Argument(metavar="FIELD=VALUE…", help="such as context_tokens=8192")]
models_app, routes_app, policies_app, aliases_app = (application(kind) for kind in KINDS)
deployments_app = typer.Typer(help="Places that serve models (administrator).", no_args_is_help=True)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models and routes that the key may use; with a command, administer them."""
    if context.invoked_subcommand is None:
        list_models(as_json=as_json)


@models_app.command("create")
def create_model(
    name: Name,
    base_url: Annotated[str, typer.Option(help="where it answers, before /chat/completions")],
    provider: Annotated[
        Literal["openai", "llamacpp", "vllm", "azure", "anthropic", "gemini", "bedrock"],
        typer.Option(help="the API that is spoken there, or the engine"),
    ] = "openai",
    upstream_model: Annotated[str | None, typer.Option(help="its name over there, if another one")] = None,
    adapter: Annotated[str | None, typer.Option(help="the LoRA adapter that its engine is asked for")] = None,
    key_variable: Annotated[
        str | None, typer.Option(help="the variable of router and gateway that holds the provider's key")
    ] = None,
    region: Annotated[str | None, typer.Option(help="where its data goes")] = None,
    field: Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE", help="any other field")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="a unique text: repeated, it makes one model")] = None,
    dry_run: DryRun = False,
) -> None:
    """Make a model with one deployment; every gateway knows it within two seconds."""
    place: dict[str, Any] = {"base_url": base_url, "provider": provider}
    place |= {"upstream_model": upstream_model} if upstream_model else {}
    place |= {"adapter": adapter} if adapter else {}
    place |= {"region": region} if region else {}
    place |= {"auth": {"kind": "bearer", "env": key_variable}} if key_variable else {}
    body = {"name": name, "deployments": [place], **_patch(field or [])}
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    done = _gateway().admin("POST", "/admin/models", json=body, params={"dry_run": dry_run}, headers=headers)
    _tell("model", done, dry_run=dry_run)


@aliases_app.command("create")
def create_alias(
    name: Name, model: Annotated[str, typer.Argument(help="the model or route that it stands for")]
) -> None:
    """Give a model or a route another name."""
    _tell("alias", _gateway().admin("POST", "/admin/aliases", json={"name": name, "model": model}), dry_run=False)


@routes_app.command("create")
def create_route(
    name: Name,
    candidate: Annotated[list[str], typer.Option(help="a model to choose among; repeat for several")],
    fallback: Annotated[list[str] | None, typer.Option(help="a model when no candidate can answer")] = None,
    field: Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE", help="any other field")] = None,
) -> None:
    """Make a virtual model."""
    body = {"name": name, "candidates": candidate, "fallbacks": fallback or [], **_patch(field or [])}
    _tell("route", _gateway().admin("POST", "/admin/routes", json=body), dry_run=False)


@deployments_app.command("list")
def list_deployments(
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    health: Annotated[Literal["up", "down", "unknown"] | None, typer.Option(help="in this state only")] = None,
    as_json: AsJson = False,
) -> None:
    """List deployments with health and load."""
    given = {"model": model, "health": health}
    query = {name: value for name, value in given.items() if value is not None}
    found = list(every(_gateway().admin, "/admin/deployments", query))
    if as_json:
        show_json(found)
        return
    rows = [
        (one["id"], one["model"], one["health"], one["load"], one["spec"]["weight"], one["declared_in"], one["version"], one["spec"]["base_url"], one["health_reason"])
        for one in found
    ]  # fmt: skip
    columns = ("deployment", "model", "health", "load", "weight", "from", "version", "base URL", "reason")
    show_table(columns, rows, folded="reason")


@deployments_app.command("show")
def show_deployment(deployment_id: Name) -> None:
    """Show a deployment as JSON."""
    show_json(_gateway().admin("GET", _path("deployments", deployment_id)))


@deployments_app.command("add")
def add_deployment(
    model: Annotated[str, typer.Argument(help="a model that was made through the API")],
    base_url: Annotated[str, typer.Option(help="where it answers, before /chat/completions")],
    weight: Annotated[float, typer.Option(help="a deployment of weight 2 gets twice the load")] = 1.0,
    field: Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE", help="any other field")] = None,
) -> None:
    """Add a place that serves a model."""
    body = {"model": model, "base_url": base_url, "weight": weight, **_patch(field or [])}
    done = _gateway().admin("POST", "/admin/deployments", json=body)
    say(f"deployment {done['id']} of {model} is there (version {done['version']}).")


@deployments_app.command("set")
def set_deployment(deployment_id: Name, fields: _Fields, if_version: IfVersion = None) -> None:
    """Change fields of a deployment, such as weight=0.1."""
    done = _gateway().admin(
        "PATCH", _path("deployments", deployment_id), json=_patch(fields), headers=_precondition(if_version)
    )
    say(f"deployment {deployment_id} is changed (version {done['version']}).")


@deployments_app.command("delete")
def delete_deployment(deployment_id: Name, if_version: IfVersion = None) -> None:
    """Take a deployment away from its model."""
    gone = _gateway().admin("DELETE", _path("deployments", deployment_id), headers=_precondition(if_version))
    say(f"deployment {deployment_id} is taken away (version {gone['version']}).")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _path(many: str, name: str) -> str:
    return path_of("/admin/" + many, name, slashes=True)


def _precondition(version: int | None) -> dict[str, str]:
    return {} if version is None else {"if-match": f'"{version}"'}


def _state(one: Mapping[str, Any]) -> str:
    if not one["in_force"]:
        return f"held back: {one['problem']}"
    return "; ".join(["in force", *map(_offered, one.get("offers") or ())])


def _offered(one: Mapping[str, Any]) -> str:
    listed = "lists nothing yet" if one["listed_at"] is None else f"lists {one['models']} models"
    return f"{one['deployment']} {listed}" + (f" ({one['problem']})" if one["problem"] else "")


def _tell(word: str, done: dict[str, Any], *, dry_run: bool) -> None:
    would = "would be" if dry_run else "is"
    say(f"{word} {done['name']} {would} at version {done['version']}.")


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    found = document(text, str(file))
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, dict):
            raise CommandFailed(f"{file} must hold an object or a list of objects.")
        yield one


def _name_of(spec: Mapping[str, Any], file: Path) -> str:
    name = spec.get("name")
    if not isinstance(name, str) or not name:
        raise CommandFailed(f"An object in {file} has no `name`.")
    return name


def _patch(fields: list[str]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for text in fields:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise CommandFailed(f"{text} is not FIELD=VALUE, such as context_tokens=8192.")
        here = patch
        *inside, last = path.split(".")
        for step in inside:
            here = here.setdefault(step, {})
        here[last] = document(value, text)
    return patch
