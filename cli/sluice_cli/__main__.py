"""The entry point of the `sluice` command."""

import sys


def main() -> None:
    """Run the command; what cannot be done ends in one sentence and status 1."""
    try:
        # A broken installation, and Ctrl-C while much is still being imported, end in a sentence as well.
        from sluice_cli.app import run  # noqa: PLC0415 - see above

        run()
    except ModuleNotFoundError as exc:
        print(f"The package {exc.name} is not installed. Run `make reinstall`, then try again.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
