"""What the platform is made of, read from the code, so that deployment files can be held against it."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic_settings import BaseSettings
from tests.syntax import tree_of

from sluice.queues import TASKS
from sluice.settings import OPTIONAL_SERVICES, SERVICES, PlatformSettings
from sluice_cli.settings import CliSettings

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SECRETS = dict.fromkeys(
    ("SLUICE_ADMIN_KEY", "SLUICE_SERVICE_SECRET", "SLUICE_GATEWAY_KEY_PEPPER", "POSTGRES_PASSWORD", "REDIS_PASSWORD"),
    "0123456789abcdef" * 2,
)
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class Part:
    """One process of the platform that has a health page."""

    name: str
    service: str
    port: int

    @property
    def is_worker(self) -> bool:
        return self.name.endswith("-worker")


def _services() -> Iterator[Part]:
    for name in SERVICES:
        url = urlsplit(PlatformSettings.model_fields[f"{name}_url"].default)
        assert url.port
        yield Part(name, name, url.port)


def _workers() -> Iterator[Part]:
    ports = {part.service: part.port for part in SERVICE_PARTS}
    # A worker runs the tasks of its service's queue.
    for name in sorted({task.queue for task in TASKS}):
        yield Part(f"{name}-worker", name, ports[name] + 100)


SERVICE_PARTS = tuple(_services())
WORKER_PARTS = tuple(_workers())
PARTS = SERVICE_PARTS + WORKER_PARTS


def folder_of(service: str) -> Path:
    """The folder under services/ that holds the package of a service."""
    return next(path.parent for path in ROOT.glob(f"services/*/sluice_{service}"))


@cache
def compose(*overrides: str) -> dict[str, Any]:
    """docker-compose.yml as Compose itself resolves it, with all profiles."""
    files = [part for name in ("docker-compose.yml", *overrides) for part in ("-f", name)]
    done = run_compose(*files, "--profile", "*", "config", "--format", "json", environment=SECRETS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_compose(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Compose without the .env file and the SLUICE_ variables of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    return subprocess.run(
        [str(BIN / "docker-compose"), "--env-file", os.devnull, *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
    )


@cache
def kustomize(folder: str) -> tuple[dict[str, Any], ...]:
    """All objects that `kubectl kustomize` makes of a folder."""
    done = subprocess.run([str(BIN / "kubectl"), "kustomize", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tuple(item for item in yaml.safe_load_all(done.stdout) if item)


def settings_classes() -> dict[str, type[BaseSettings]]:
    """Every settings class by the module that declares it."""
    found: dict[str, type[BaseSettings]] = {"sluice": PlatformSettings, "sluice_cli": CliSettings}
    for service in (*SERVICES, *OPTIONAL_SERVICES):
        module = importlib.import_module(f"sluice_{service}.settings")
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, BaseSettings) and item.__module__ == module.__name__:
                found[module.__name__] = item
    return found


def setting_variables() -> dict[str, bool]:
    """The environment variable of every setting, and whether it has a default."""
    found = {}
    for cls in settings_classes().values():
        prefix = str(cls.model_config["env_prefix"])
        for name, field in cls.model_fields.items():
            found[f"{prefix}{name}".upper()] = not field.is_required()
    return found


def config_variables() -> set[str]:
    """The variables that the files in deploy/config expand."""
    return {name for file in (ROOT / "deploy/config").rglob("*.yaml") for name in VARIABLE.findall(file.read_text())}


@dataclass(frozen=True)
class Metric:
    """A metric as the code declares it."""

    name: str
    kind: str
    labels: frozenset[str]


def declared_metrics() -> dict[str, Metric]:
    """Every metric that a call of `counter`, `gauge` or `histogram` declares in the services and in shared."""
    found: dict[str, Metric] = {}
    for path in [*ROOT.glob("shared/sluice/*.py"), *ROOT.glob("services/*/sluice_*/**/*.py")]:
        text = path.read_text()
        if "registry" in text or "metrics" in path.stem:
            found |= {metric.name: metric for metric in _declarations(tree_of(path))}
    return found


def _declarations(tree: ast.Module) -> Iterator[Metric]:
    constants: dict[str, Any] = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and _is_literal(node.value)
    }
    looped = {item for node in ast.walk(tree) if isinstance(node, ast.Tuple | ast.List) for item in _names_in(node)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in ("counter", "gauge", "histogram") or not node.args:
            continue
        labels = _labels(node, constants)
        first = node.args[0]
        if isinstance(first, ast.Constant):
            yield Metric(str(first.value), node.func.attr, labels)
        else:  # declared in a loop over a table of names
            for name in looped:
                yield Metric(name, node.func.attr, labels)


def _labels(call: ast.Call, constants: dict[str, Any]) -> frozenset[str]:
    given = call.args[2] if len(call.args) > 2 else next((k.value for k in call.keywords if k.arg == "labels"), None)
    if given is None:
        return frozenset()
    if isinstance(given, ast.Name):
        return frozenset(constants[given.id])
    return frozenset(ast.literal_eval(given))


def _names_in(node: ast.Tuple | ast.List) -> Iterator[str]:
    first = node.elts[0] if node.elts else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.startswith("sluice_"):
        yield first.value


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
