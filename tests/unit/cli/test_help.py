"""Every command, option and argument of `sluice` explains itself."""

from collections.abc import Iterator

import typer

from sluice_cli.app import app


def commands(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    yield path, node
    for name, below in getattr(node, "commands", {}).items():
        yield from commands(below, (*path, name))


FOUND = dict(commands(typer.main.get_command(app)))


def test_every_command_option_and_argument_says_what_it_is() -> None:
    silent = [" ".join(path) for path, node in FOUND.items() if not getattr(node, "help", None)]
    silent += [
        f"{' '.join(path)} {each.name}"
        for path, node in FOUND.items()
        for each in getattr(node, "params", ())
        if not getattr(each, "help", None)
    ]
    assert len(FOUND) > 100, "the tree of commands was read"
    assert silent == []
