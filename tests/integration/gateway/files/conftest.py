"""An S3-compatible store as a child process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sluice.testing import free_port, wait_until

BUCKET = "sluice-files"
ACCESS = {"access_key_id": "test", "secret_access_key": "test"}


@pytest.fixture(scope="session")
def bucket_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run moto's server (the S3 wire protocol) with one bucket and yield its endpoint."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log: Path = tmp_path_factory.mktemp("s3") / "s3.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            wait_until(
                lambda: httpx.get(f"{url}/moto-api/", timeout=60).status_code == httpx.codes.OK, what="the S3 server"
            )
            httpx.put(f"{url}/{BUCKET}", timeout=60).raise_for_status()
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)
