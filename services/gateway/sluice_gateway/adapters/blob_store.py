"""Where the content of files lies: a folder, or a bucket."""

from pathlib import Path
from urllib.parse import urlsplit

from sluice.blobs import Blobs, FolderBlobs
from sluice.settings import ConfigError, PlatformSettings
from sluice_gateway.settings import Settings


def open_blobs(platform: PlatformSettings, settings: Settings) -> Blobs:
    """Return the blob store that the settings name; an empty one is `gateway/files` in the data folder.

    Raises:
        ConfigError: it is of a kind that is not known here, or needs what is not installed.
    """
    url = settings.files_url
    if "://" not in url:
        return FolderBlobs(Path(url) if url else platform.data_dir.absolute() / "gateway" / "files")
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigError(f"SLUICE_GATEWAY_FILES_URL: {url!r} is neither a folder nor s3://bucket/prefix.")
    try:
        from sluice_gateway.adapters.s3_blobs import Bucket, open_bucket  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "SLUICE_GATEWAY_FILES_URL names a bucket, and obstore is not installed: install `sluice-gateway[s3]`."
        ) from exc
    return open_bucket(
        Bucket(
            name=parts.netloc,
            prefix=parts.path.strip("/"),
            endpoint=settings.files_s3_endpoint,
            region=settings.files_s3_region,
            access_key_id=settings.files_s3_access_key_id,
            secret_access_key=settings.files_s3_secret_access_key.get_secret_value(),
        )
    )
