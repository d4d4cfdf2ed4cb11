"""When a file counts as changed."""

import time
from pathlib import Path

from sluice.files import stamp


def test_a_file_that_nobody_touches_keeps_its_stamp(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1")
    assert stamp(file) == stamp(file) is not None


def test_new_content_new_rights_a_replacement_and_an_end_are_changes(tmp_path: Path) -> None:
    file, other = tmp_path / "x.yaml", tmp_path / "y.yaml"
    steps = (
        lambda: file.write_text("a: 1"),
        lambda: file.write_text("a: 12"),
        lambda: file.chmod(0o600),
        lambda: other.write_text("a: 12") and other.replace(file),
        file.unlink,
    )
    seen = []
    for step in steps:
        time.sleep(0.02)  # some kernels keep time in steps of ten milliseconds
        step()
        seen.append(stamp(file))
    assert len(set(seen)) == 5
    assert seen[-1] is None


def test_a_link_that_is_turned_to_another_file_is_a_change(tmp_path: Path) -> None:
    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.write_text("a: 1")
    two.write_text("a: 2")
    link.symlink_to(one)
    before = stamp(link)
    link.unlink()
    link.symlink_to(two)
    assert stamp(link) != before
