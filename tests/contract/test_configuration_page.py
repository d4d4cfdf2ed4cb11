"""The configuration page is what the settings classes say."""

from deploy.configuration_page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "a setting changed: run `make docs`"
