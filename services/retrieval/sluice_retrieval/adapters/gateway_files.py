"""Files as the gateway keeps them, read with a service token that names the tenant."""

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from sluice.auth import ServiceTokens
from sluice.clients.http import HttpAnswer, Transport
from sluice.contracts.files import FileObject
from sluice.errors import DeadlineExceeded, DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.errors import DocumentNotFound
from sluice_retrieval.domain.extraction import Sizes, Source

SUBJECT = "retrieval"


class GatewayFiles(NamedTuple):
    """The `FileSource` port over the gateway's /v1/files."""

    transport: Transport
    base_url: str
    tokens: ServiceTokens
    sizes: Sizes
    timeout_s: float

    async def describe(self, tenant: str, file_id: str) -> tuple[str, int]:
        """Return a file's name and size in bytes."""
        file = await self._record(tenant, file_id)
        return file.filename, file.bytes

    async def read(self, tenant: str, file_id: str) -> Source:
        """Return a file's name and bytes."""
        file = await self._record(tenant, file_id)
        self.sizes.check(file.bytes, file.filename)
        raw = (await self._get(tenant, file_id, "/content")).body
        self.sizes.check(len(raw), file.filename)
        return Source(file.filename, raw)

    async def _record(self, tenant: str, file_id: str) -> FileObject:
        answer = await self._get(tenant, file_id, "")
        try:
            return FileObject.model_validate_json(answer.body)
        except ValidationError as exc:
            raise UpstreamFailed("The gateway answered in a shape that is not understood.") from exc

    async def _get(self, tenant: str, file_id: str, part: str) -> HttpAnswer:
        token = self.tokens.mint("gateway", tenant=tenant, subject=SUBJECT)
        url = f"{self.base_url}/v1/files/{quote(file_id, safe='')}{part}"
        try:
            answer = await self.transport.send("GET", url, {"authorization": f"Bearer {token}"}, None, self.timeout_s)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"The gateway did not give file {file_id} in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable("The gateway, which keeps the files, cannot be reached; try again.") from exc
        if answer.status == HTTPStatus.NOT_FOUND:
            raise DocumentNotFound(f"There is no file {file_id!r}. Upload it with POST /v1/files.")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise DependencyUnavailable(f"The gateway cannot read the file now (status {answer.status}).")
        if answer.status != HTTPStatus.OK:
            raise UpstreamFailed(f"The gateway refused the file {file_id} with status {answer.status}.")
        return answer
