"""Runs the guardrail: `python -m sluice_guardrail serve`."""

from sluice.main import Entry, run
from sluice_guardrail.app import create_app
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import check_config, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="guardrail",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            check=check_config,
        )
    )
