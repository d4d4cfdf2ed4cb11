"""One suite for both blob stores: a folder, and a bucket over the S3 protocol."""

import hashlib
from pathlib import Path

import pytest
from tests.integration.gateway.control_plane import running_gateway
from tests.integration.gateway.files.conftest import ACCESS, BUCKET

from sluice.blobs import BlobMissing, Blobs
from sluice.errors import DependencyUnavailable
from sluice.ids import new_id
from sluice.settings import ConfigError, PlatformSettings
from sluice.testing import admin_headers, free_port, platform_settings
from sluice_gateway.adapters.blob_store import open_blobs
from sluice_gateway.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
LONG = bytes(range(251)) * 80_000  # 20 MB: several parts of an upload


def bucket_settings(endpoint: str, prefix: str) -> dict[str, str]:
    place = {"files_url": f"s3://{BUCKET}/{prefix}", "files_s3_endpoint": endpoint, "files_s3_region": "us-east-1"}
    return place | {f"files_s3_{name}": value for name, value in ACCESS.items()}


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    values = {"files_url": str(tmp_path / "blobs")}
    if request.param == "bucket":
        values = bucket_settings(request.getfixturevalue("bucket_endpoint"), new_id("prefix"))
    return open_blobs(platform_settings(tmp_path), Settings(_env_file=None, **values))


async def put(blobs: Blobs, key: str, *chunks: bytes) -> str:
    async with blobs.create(key) as writer:
        for chunk in chunks:
            await writer.write(chunk)
        return writer.sha256


async def read(blobs: Blobs, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start, stop)])


@pytest.mark.parametrize("content", [b"", b"x", LONG], ids=["empty", "short", "long"])
async def test_what_is_written_is_read(blobs: Blobs, content: bytes) -> None:
    chunks = [content[at : at + 700_001] for at in range(0, len(content), 700_001)]
    assert await put(blobs, "a", *chunks) == hashlib.sha256(content).hexdigest()
    assert await blobs.size("a") == len(content)
    assert await read(blobs, "a") == content


async def test_parts_are_read(blobs: Blobs) -> None:
    await put(blobs, "a", LONG)
    for start, stop in ((0, 1), (5, 600_000), (len(LONG) - 3, len(LONG)), (7, None), (9, 9)):
        assert await read(blobs, "a", start, stop) == LONG[start:stop]


async def test_a_blob_whose_making_fails_is_not_there(blobs: Blobs) -> None:
    async def half() -> None:
        async with blobs.create("a") as writer:
            await writer.write(LONG)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await half()
    with pytest.raises(BlobMissing):
        await blobs.size("a")


async def test_a_blob_that_is_gone_is_said_and_may_be_removed_again(blobs: Blobs) -> None:
    await put(blobs, "a", b"x")
    await blobs.remove("a")
    await blobs.remove("a")
    with pytest.raises(BlobMissing):
        await blobs.size("a")
    with pytest.raises(BlobMissing):
        await read(blobs, "a")


async def test_a_bucket_that_is_away_is_said(tmp_path: Path) -> None:
    values = bucket_settings(f"http://127.0.0.1:{free_port()}", "x")
    blobs = open_blobs(platform_settings(tmp_path), Settings(_env_file=None, **values))
    with pytest.raises(DependencyUnavailable):
        await blobs.size("a")
    with pytest.raises(DependencyUnavailable):
        await put(blobs, "a", b"x")


def test_a_place_of_another_kind_is_refused(tmp_path: Path) -> None:
    for url in ("ftp://x/y", "s3:///prefix"):
        with pytest.raises(ConfigError, match="neither a folder nor"):
            open_blobs(platform_settings(tmp_path), Settings(_env_file=None, files_url=url))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_files_of_a_gateway_in_a_bucket(platform: PlatformSettings, bucket_endpoint: str) -> None:
    async with running_gateway(platform, **bucket_settings(bucket_endpoint, "gateway")) as gateway:
        http = gateway.client
        made = await http.post("/admin/keys", json={"name": "s3", "tenant": "acme"}, headers=admin_headers())
        key = {"authorization": f"Bearer {made.json()['key']}"}
        files = {"file": ("x.bin", LONG)}
        file = (await http.post("/v1/files", headers=key, data={"purpose": "user_data"}, files=files)).json()
        path = f"/v1/files/{file['id']}"
        assert (await http.get(f"{path}/content", headers=key)).content == LONG
        part = await http.get(f"{path}/content", headers={**key, "range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, LONG[10:20])
        assert (await http.delete(path, headers=key)).json()["deleted"]
        assert (await http.get(f"{path}/content", headers=key)).status_code == 404
        assert not (platform.data_dir / "gateway" / "files").exists()
