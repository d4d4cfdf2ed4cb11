#!/bin/sh
# `make containers`: runs the steps in __main__.py with the project's own Python. `run.sh --help` shows the options.
here=$(cd "$(dirname "$0")" && pwd)
python="$here/../../.venv/bin/python"
[ -x "$python" ] || { echo "Run \`make install\` first: the steps need the project's own Python in .venv/." >&2; exit 1; }
exec "$python" "$here" "$@"
