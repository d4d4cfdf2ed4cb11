#!/bin/sh
# `make containers`: runs the steps in __main__.py with the project's own Python. `run.sh --help` shows the options.
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../../.venv/bin/python" "$here" "$@"
