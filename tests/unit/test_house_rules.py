"""House rules that no linter knows, checked on the syntax tree of every source file."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.syntax import tree_of

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for pattern in ("shared/sluice/**/*.py", "cli/sluice_cli/**/*.py", "services/*/sluice_*/**/*.py")
    for path in ROOT.glob(pattern)
)
BANNED_NAMES = re.compile(r"(^|_)(utils?|helpers?|manager|common|misc)$")
MAX_LINES = 450
WRITTEN = {".py", ".md", ".txt", ".yml", ".yaml", ".toml", ".sh"}
NOT_OURS = {".venv", ".venv-bridge", ".sluice", ".git", "node_modules", "__pycache__"}


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        yield from (Path(folder, name) for name in names)


def _names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def _trees(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    for path in paths:
        yield str(path.relative_to(ROOT)), tree_of(path)


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50


def test_module_names_say_what_is_inside() -> None:
    assert [name for name in _names(SOURCES) if BANNED_NAMES.search(Path(name).stem)] == []


def test_files_hold_one_thing() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}


def test_nothing_is_global_and_nothing_is_a_placeholder() -> None:
    found = []
    for name, tree in _trees(SOURCES):
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                found.append(f"{name}:{node.lineno} global")
            if isinstance(node, ast.Name) and node.id == "NotImplementedError":
                found.append(f"{name}:{node.lineno} NotImplementedError")
    assert found == []


def test_domains_read_no_clock_and_roll_no_dice() -> None:
    impure = {("time", "time"), ("time", "monotonic"), ("datetime", "now"), ("random", "random"), ("uuid", "uuid4")}
    found = [
        f"{name}:{node.lineno} {node.value.id}.{node.attr}"
        for name, tree in _trees([path for path in SOURCES if "/domain/" in str(path)])
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in impure
    ]
    assert found == []


def test_import_does_no_work() -> None:
    """A module's top level defines things; it opens nothing and starts nothing."""
    found = []
    for name, tree in _trees(SOURCES):
        if name.endswith("__main__.py"):
            continue
        for node in tree.body:
            opens = isinstance(node, ast.With | ast.AsyncWith | ast.While)
            calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            if opens or calls:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_only_settings_read_the_environment() -> None:
    """`os.environ` stands only where settings are made or where a child process inherits the environment."""
    allowed = {
        "shared/sluice/settings.py",
        "shared/sluice/testing/nursery.py",
        "shared/sluice/testing/processes.py",
        "cli/sluice_cli/platform/launcher.py",
    }
    found = set()
    for name, tree in _trees(SOURCES):
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("environ", "getenv")
                and isinstance(node.value, ast.Name)
                and node.value.id == "os"
            ):
                found.add(name)
    engine_processes = {name for name in found if name.startswith("services/inference/")}
    assert found - allowed - engine_processes == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = tree_of(path)
    silent = [
        f"line {node.lineno}: {node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_blind_excepts_give_their_reason() -> None:
    found = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"except Exception\b", line) and "#" not in line:
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_tests_inject_and_never_patch() -> None:
    """`monkeypatch.setenv` is fine: the environment is not our code."""
    found = []
    for name, tree in _trees(sorted(ROOT.glob("tests/**/*.py"))):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ("setattr", "setitem", "delattr"):
                found.append(f"{name}:{node.lineno} {node.attr}")
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found += [f"{name} {module}" for module in modules if module.split(".")[0] in ("mock", "pytest_mock")]
            found += [f"{name} {module}" for module in modules if module.startswith("unittest")]
    assert found == []


def test_nothing_of_this_machine_is_committed() -> None:
    hosts = re.compile(
        r"(^|[^A-Za-z0-9_])/(work|farm)/|py" r"pi\.org|python" r"hosted|registry\.npm" r"js|deb\.deb" r"ian"
    )
    tickets = re.compile(r"\bissue #?\d", re.IGNORECASE)
    found = [
        str(path.relative_to(ROOT))
        for path in _files()
        if (path.suffix in WRITTEN or path.name == "Makefile" or path.name.endswith("Dockerfile"))
        and (hosts.search(text := path.read_text(encoding="utf-8", errors="replace")) or tickets.search(text))
    ]
    assert found == []
