"""The newest revision is found without Alembic, and is the one that Alembic finds."""

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from sluice import migrations as shared_migrations
from sluice.schema import newest_revision

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = sorted(ROOT.glob("services/*/migrations"))


def test_there_are_migrations_to_look_at() -> None:
    assert len(FOLDERS) >= 5


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_it_is_alembics_head(folder: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(shared_migrations.__file__).parent / "migration_env"))
    config.set_main_option("version_locations", str(folder / "versions"))
    config.set_main_option("path_separator", "newline")
    assert newest_revision(folder) == ScriptDirectory.from_config(config).get_current_head()


def test_two_ends_are_a_mistake(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for name, before in (("0001", None), ("0002", "0001"), ("0003", "0001")):
        (versions / f"{name}_x.py").write_text(f"revision = {name!r}\ndown_revision = {before!r}\n")
    with pytest.raises(ValueError, match="2 newest revisions"):
        newest_revision(tmp_path)
