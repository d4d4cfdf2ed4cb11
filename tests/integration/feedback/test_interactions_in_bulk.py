"""A backlog of usage: what one look at the stream brings goes into the database, however much it is."""

from pathlib import Path

import pytest
from tests.integration.databases import fresh_database

from sluice.db import open_database
from sluice.migrations import upgrade
from sluice.testing import platform_settings
from sluice_feedback.domain.events import Interaction, ReviewToOpen
from sluice_feedback.store.interactions import InteractionStore
from sluice_feedback.store.reviews import ReviewStore
from sluice_feedback.wiring import MIGRATIONS

pytestmark = pytest.mark.integration


@pytest.fixture
def database_url(postgres: str) -> str:
    return fresh_database(postgres)


async def test_a_backlog_is_more_than_a_statement_may_bind(database_url: str, tmp_path: Path) -> None:
    """Sixteen entries of usage hold 7,000 records; PostgreSQL takes 32,767 values in a statement."""
    platform = platform_settings(tmp_path, database_url=database_url)
    await upgrade(platform, "feedback", MIGRATIONS)
    database = open_database(platform, "feedback")
    store = InteractionStore(database)
    many = [Interaction("acme", f"req_{number}", "m", 1.0) for number in range(5500)]
    assert await store.note(many) == 5500
    assert await store.note([*many[:10], Interaction("acme", "req_new", "m", 1.0)]) == 1
    reviews = [ReviewToOpen("acme", None, one.interaction_id, "critical_answer") for one in many[:4100]]
    assert len(await ReviewStore(database).open(reviews, now=1.0)) == 4100
    await database.close()
