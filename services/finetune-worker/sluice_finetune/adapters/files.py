"""Training files as the gateway keeps them: looked up there, and copied here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
from pydantic import ValidationError

from sluice.auth import ServiceTokens
from sluice.clients.deadline import remaining
from sluice.contracts.files import FileObject
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_finetune.adapters.blobs import Copies
from sluice_finetune.domain.errors import FileNotFound, UnknownTrainingFile
from sluice_finetune.domain.jobs import FILE_PARAMS, Job, copy_of
from sluice_finetune.domain.submission import check_file

_SUBJECT = "finetune"
_CHUNK = 256 * 1024
_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """Asks the gateway with a service token that names the tenant.

    Degraded mode: while the gateway is away no job can be made (DependencyUnavailable); jobs that are made have their copies.
    """

    session: aiohttp.ClientSession
    base_url: str
    tokens: ServiceTokens
    copies: Copies
    max_bytes: int
    timeout_s: float

    @asynccontextmanager
    async def copied(self, job: Job) -> AsyncIterator[None]:
        """Copy the files of a job; the copies are removed again when the block raises.

        Raises:
            UnknownTrainingFile: the tenant has no such file.
            UnsuitableFile: a file was not uploaded for training, or is too long.
        """
        try:
            for param in FILE_PARAMS:
                file_id: str | None = getattr(job.wish, param)
                if file_id is not None:
                    try:
                        await self.copy(job.tenant, file_id, copy_of(job.id, param))
                    except FileNotFound as exc:
                        raise UnknownTrainingFile(
                            f"`{param}`: there is no file {file_id!r}. Upload it with POST /v1/files."
                        ) from exc
            yield
        except BaseException:
            await asyncio.shield(self.forget(job))
            raise

    async def forget(self, job: Job) -> None:
        """Remove the copies of a job."""
        for param in FILE_PARAMS:
            await self.copies.remove(copy_of(job.id, param))

    async def copy(self, tenant: str, file_id: str, key: str) -> None:
        """Copy a training file.

        Raises:
            FileNotFound: the tenant has no such file.
            UnsuitableFile: it was not uploaded for training, or is too long.
            DependencyUnavailable: the gateway cannot be reached, or broke off.
        """
        limit = remaining(self.timeout_s)
        try:
            async with asyncio.timeout(limit):
                file = await self._record(tenant, file_id)
                check_file(file, self.max_bytes)
                async with self.copies.create(key) as writer, self._get(tenant, file_id, "/content") as answer:
                    async for chunk in answer.content.iter_chunked(_CHUNK):
                        await writer.write(chunk)
                    if writer.sha256 != file.sha256:
                        raise UpstreamFailed(f"The content of the file {file_id} is not what was uploaded.")
        except TimeoutError as exc:
            raise DeadlineExceeded(f"The file {file_id} could not be copied within {limit:.0f} s.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise DependencyUnavailable("The gateway, which keeps the files, cannot be reached; try again.") from exc

    async def _record(self, tenant: str, file_id: str) -> FileObject:
        async with self._get(tenant, file_id) as answer:
            try:
                return FileObject.model_validate_json(await answer.read())
            except ValidationError as exc:
                raise UpstreamFailed("The gateway answered in a shape that is not understood.") from exc

    @asynccontextmanager
    async def _get(self, tenant: str, file_id: str, part: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
        token = self.tokens.mint("gateway", tenant=tenant, subject=_SUBJECT)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        path = f"/v1/files/{quote(file_id, safe='')}{part}"
        async with self.session.get(
            self.base_url + path, headers={"authorization": f"Bearer {token}"}, timeout=timeout, allow_redirects=False
        ) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                raise FileNotFound(f"There is no file {file_id!r}. GET /v1/files lists yours.")
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise DependencyUnavailable(f"The gateway cannot read the file now (status {answer.status}).")
            if answer.status != HTTPStatus.OK:
                raise UpstreamFailed(f"The gateway refused the file {file_id} with status {answer.status}.")
            yield answer
