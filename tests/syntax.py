"""The syntax trees of the project's own files, for tests that read code as text."""

import ast
import functools
from pathlib import Path


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file.

    CPython before 3.11.8 and 3.12.2 counts its recursion wrongly when a second `ast.parse` runs in the midst of a first,
    and then raises SystemError although nothing is wrong with the file (python/cpython#106905). Every traceback that
    another thread or a finalizer logs is such a second one, since its carets are found by parsing. So it is tried again.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return ast.parse(text)
    except SystemError:
        return ast.parse(text)
