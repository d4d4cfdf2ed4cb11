"""Words of a text as a reader sees them."""

import re
from typing import Final

WORD: Final = re.compile(r"\w+(?:['’\-]\w+)*")
"""A word with its apostrophes and hyphens."""
