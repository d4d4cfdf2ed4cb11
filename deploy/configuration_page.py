"""Writes docs/reference/configuration.md from the settings classes, so that the page cannot be wrong."""

import importlib
import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from sluice.settings import OPTIONAL_SERVICES, SERVICES, PlatformSettings
from sluice_cli.settings import CliSettings

PAGE = Path(__file__).resolve().parent.parent / "docs/reference/configuration.md"
HEAD = """# Configuration

Every setting is an environment variable (or a line in `.env`). A wrong one ends the start with a sentence that names it; `python -m sluice_<service> check-config`
checks without starting, and where secrets are not set, such as in a repository's checks, says which are missing. Models, routes and policies are in `deploy/config/models.yaml` ([router](router.md)), guard policies in `guard.yaml`
([guardrail](guardrail.md)), engines in `engines.yaml` ([inference](inference.md)); `${VAR}` and `${VAR:-default}` are expanded in all three.

This page is made by `make docs`.
"""


def section(title: str, cls: type[BaseSettings]) -> str:
    """Return one settings class as a Markdown table."""
    prefix = str(cls.model_config.get("env_prefix", ""))
    rows = []
    for name, field in cls.model_fields.items():
        default = field.get_default()
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        text = "–" if field.is_required() or shown in ("", None) else f"`{shown}`"
        rows.append(f"| `{prefix}{name.upper()}` | {text} | {field.description} |")
    return f"\n## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def page() -> str:
    """Return the whole page."""
    parts = [HEAD, section("All parts", PlatformSettings)]
    for service in (*SERVICES, *OPTIONAL_SERVICES):
        module = importlib.import_module(f"sluice_{service}.settings")
        own = [item for item in vars(module).values() if isinstance(item, type) and item.__module__ == module.__name__]
        parts += [section(service, cls) for cls in own if issubclass(cls, BaseSettings)]
    parts.append(section("The `sluice` command", CliSettings))
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name, file=sys.stderr)
