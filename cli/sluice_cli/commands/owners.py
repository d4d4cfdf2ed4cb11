"""Finds organisations and teams by the names that people use."""

from typing import Any

from sluice_cli.client import Gateway, every
from sluice_cli.platform.errors import CommandFailed


def organization_id(gateway: Gateway, called: str) -> str:
    """Return the id of an organisation that is given by its id, name or tenant."""
    if called.startswith("org_"):
        return called
    for by in ("name", "tenant"):
        for row in every(gateway.admin, "/admin/organizations", {by: called}):
            return str(row["id"])
    raise CommandFailed(f"There is no organisation {called!r}. `sluice orgs list` shows them.")


def team_id(gateway: Gateway, called: str, organization: str | None) -> str:
    """Return the id of a team that is given by its id, or by its name and, where that is not enough, its organisation."""
    if called.startswith("team_"):
        return called
    query: dict[str, Any] = {"name": called}
    if organization is not None:
        query["organization_id"] = organization_id(gateway, organization)
    found = list(every(gateway.admin, "/admin/teams", query))
    if not found:
        raise CommandFailed(f"There is no team {called!r}. `sluice teams list` shows them.")
    if len(found) > 1:
        raise CommandFailed(f"{len(found)} organisations have a team {called!r}. Say which with --org.")
    return str(found[0]["id"])
