"""An upload that was acknowledged is there after a kill; one that was cut off leaves nothing that anyone sees."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.gateway.batches.batch_platform import batch_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


async def test_a_gateway_killed_after_and_during_uploads(tmp_path: Path, valkey: str) -> None:
    content = bytes(range(256)) * 8000
    async with batch_platform(tmp_path, valkey) as run:
        client = run.client()
        kept = await client.files.create(file=("kept.bin", content), purpose="user_data")
        half_sent, killed = asyncio.Event(), asyncio.Event()

        async def half() -> AsyncIterator[bytes]:
            yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + content
            half_sent.set()
            await killed.wait()
            yield content

        headers = {**client.auth_headers, "content-type": "multipart/form-data; boundary=B"}
        async with httpx.AsyncClient(timeout=60) as http:
            sending = asyncio.create_task(http.post(f"{run.url}/v1/files", content=half(), headers=headers))
            await half_sent.wait()
            folder = run.platform.data_dir / "gateway" / "files"
            async with asyncio.timeout(60):
                while not any(path.suffix == ".part" and path.stat().st_size for path in folder.iterdir()):
                    await asyncio.sleep(0.02)
            run.gateway.kill()
            killed.set()
            with pytest.raises(httpx.HTTPError):
                await sending
        run.gateway.start()
        await asyncio.to_thread(run.gateway.wait_ready, f"{run.url}/readyz")
        assert [file.id async for file in client.files.list()] == [kept.id]
        assert (await client.files.content(kept.id)).content == content
        assert sum(path.suffix == ".part" for path in folder.iterdir()) == 1  # what the sweep removes after a day
