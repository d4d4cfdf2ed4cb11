"""Opens the files, for gateways and workers alike."""

from sluice.clock import Clock
from sluice.db import Database
from sluice.ids import new_id
from sluice.settings import PlatformSettings
from sluice_gateway.adapters.blob_store import open_blobs
from sluice_gateway.domain.quotas import Quotas
from sluice_gateway.files.shelf import Shelf, StoresOfFiles
from sluice_gateway.files.store import FileStore
from sluice_gateway.quota_store import QuotaStore
from sluice_gateway.settings import Settings


def open_shelf(
    platform: PlatformSettings,
    settings: Settings,
    database: Database,
    clock: Clock,
    stores: StoresOfFiles | None = None,
) -> Shelf:
    """Return the files of all tenants, as gateways and workers see them; who removes files names the vector stores."""
    return Shelf(
        store=FileStore(database, open_quotas(settings, database)),
        blobs=open_blobs(platform, settings),
        clock=clock,
        new_id=new_id,
        max_bytes=settings.max_file_bytes,
        batch_keep_s=settings.batch_keep_s,
        stores=stores,
    )


def open_quotas(settings: Settings, database: Database) -> QuotaStore:
    """Return the quotas of all tenants."""
    return QuotaStore(database, Quotas(settings.tenant_file_bytes, settings.tenant_unfinished_batches))
