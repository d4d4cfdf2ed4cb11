"""Queries on the gateway's database: prompts and their versions; every query names the tenant."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from sluice.contracts.paging import Order
from sluice.contracts.prompts import CreatePrompt, CreatePromptVersion, Prompt, PromptTemplate, UpdatePrompt
from sluice.db import Database
from sluice_gateway.domain.errors import NameTaken
from sluice_gateway.domain.prompt_splits import drawn
from sluice_gateway.domain.prompts import StoredVersion
from sluice_gateway.prompt_rows import end_split, named, no_version, split_of
from sluice_gateway.tables import PromptRow, PromptSplitChangeRow, PromptVersionRow

_TEMPLATE = set(PromptTemplate.model_fields)


class PromptStore:
    """Prompts; every method raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, prompt_id: str, tenant: str, key_id: str, made: CreatePrompt, now: float) -> Prompt:
        """Add a prompt with its first version, which is in use.

        Raises:
            NameTaken: the tenant has one of that name.
        """
        row = PromptRow(
            id=prompt_id,
            tenant=tenant,
            name=made.name,
            description=made.description,
            default_version=1,
            newest_version=1,
            details=dict(made.metadata),
            created_at=int(now),
            changed_at=int(now),
        )
        try:
            async with self._database.write() as session:
                session.add(row)
                await session.flush()
                session.add(_version_row(prompt_id, 1, key_id, made, now))
                return _prompt(row)
        except IntegrityError as exc:
            raise NameTaken(
                f"There is a prompt {made.name} already. POST /v1/prompts/{made.name}/versions adds a version to it."
            ) from exc

    async def add_version(
        self, tenant: str, name: str, key_id: str, made: CreatePromptVersion, now: float
    ) -> StoredVersion:
        """Add a version to a prompt.

        Raises:
            PromptNotFound: the tenant has none of that name.
        """
        async with self._database.write() as session:
            row = await named(session, tenant, name, for_update=True)
            row.newest_version = number = row.newest_version + 1
            row.changed_at = int(now)
            if made.release:
                row.default_version = number
                end_split(session, row, "released", key_id, now)
            version = _version_row(row.id, number, key_id, made, now)
            session.add(version)
            return _stored(name, version)

    async def change(self, tenant: str, name: str, key_id: str, wanted: UpdatePrompt, now: float) -> Prompt:
        """Change a prompt; to put a version in use ends a split.

        Raises:
            PromptNotFound, PromptVersionNotFound: there is no such prompt, or it has no such version.
        """
        async with self._database.write() as session:
            row = await named(session, tenant, name, for_update=True)
            if wanted.default_version is not None:
                if wanted.default_version > row.newest_version:
                    raise no_version(name, wanted.default_version)
                row.default_version = wanted.default_version
                end_split(session, row, "released", key_id, now)
            if wanted.description is not None:
                row.description = wanted.description
            if wanted.metadata is not None:
                row.details = dict(wanted.metadata)
            row.changed_at = int(now)
            return _prompt(row)

    async def delete(self, tenant: str, name: str) -> Prompt:
        """Delete a prompt with all its versions, or raise PromptNotFound."""
        async with self._database.write() as session:
            row = await named(session, tenant, name, for_update=True)
            shown = _prompt(row)
            for kept in (PromptVersionRow, PromptSplitChangeRow):
                await session.execute(delete(kept).where(kept.prompt_id == row.id))
            await session.delete(row)
            return shown

    async def get(self, tenant: str, name: str) -> Prompt:
        """Return a prompt, or raise PromptNotFound."""
        async with self._database.read() as session:
            return _prompt(await named(session, tenant, name))

    async def version(self, tenant: str, name: str, number: int | None, subject: str | None = None) -> StoredVersion:
        """Return a version of a prompt, without a number the one in use: by its split for a subject, if there are both.

        Raises:
            PromptNotFound, PromptVersionNotFound: there is no such prompt, or it has no such version.
        """
        async with self._database.read() as session:
            row = await named(session, tenant, name)
            split = split_of(row) if number is None and subject else None
            mine = drawn(name, split, subject) if split is not None and subject else None
            wanted = number or mine or row.default_version
            found = await session.get(PromptVersionRow, (row.id, wanted))
            if found is None:
                raise no_version(name, wanted)
            return _stored(name, found)

    async def called(self, tenant: str, called: str, number: int | None, subject: str) -> StoredVersion:
        """Return a version of the prompt of this name or id, as `version` does."""
        query = select(PromptRow.name).where(
            PromptRow.tenant == tenant, (PromptRow.name == called) | (PromptRow.id == called)
        )
        async with self._database.read() as session:
            names = set(await session.scalars(query))
        name = called if called in names or not names else names.pop()
        return await self.version(tenant, name, number, subject)

    async def page(self, tenant: str, *, limit: int, after: str | None, order: Order) -> list[Prompt]:
        """Return at most `limit + 1` prompts by id, which is by time of making."""
        query = select(PromptRow).where(PromptRow.tenant == tenant).limit(limit + 1)
        if order == "asc":
            query = (query.where(PromptRow.id > after) if after else query).order_by(PromptRow.id.asc())
        else:
            query = (query.where(PromptRow.id < after) if after else query).order_by(PromptRow.id.desc())
        async with self._database.read() as session:
            return [_prompt(row) for row in await session.scalars(query)]

    async def versions(
        self, tenant: str, name: str, *, limit: int, after: int | None, order: Order
    ) -> list[StoredVersion]:
        """Return at most `limit + 1` versions of a prompt by number, or raise PromptNotFound."""
        number = PromptVersionRow.version
        async with self._database.read() as session:
            row = await named(session, tenant, name)
            query = select(PromptVersionRow).where(PromptVersionRow.prompt_id == row.id).limit(limit + 1)
            if order == "asc":
                query = (query.where(number > after) if after else query).order_by(number.asc())
            else:
                query = (query.where(number < after) if after else query).order_by(number.desc())
            return [_stored(name, found) for found in await session.scalars(query)]


def _version_row(prompt_id: str, number: int, key_id: str, made: PromptTemplate, now: float) -> PromptVersionRow:
    return PromptVersionRow(
        prompt_id=prompt_id,
        version=number,
        template=made.model_dump_json(include=_TEMPLATE),
        created_by=key_id,
        created_at=int(now),
    )


def _stored(name: str, row: PromptVersionRow) -> StoredVersion:
    template = PromptTemplate.model_validate_json(row.template)
    return StoredVersion(name, row.version, template, row.created_by, row.created_at)


def _prompt(row: PromptRow) -> Prompt:
    fields: dict[str, Any] = {
        name: getattr(row, name) for name in Prompt.model_fields if name not in ("object", "metadata", "split")
    }
    return Prompt(**fields, split=split_of(row), metadata=row.details)
