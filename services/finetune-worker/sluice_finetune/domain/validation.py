"""Checks a training file line by line and sums up what it holds (handbook F225, F226, F228)."""

import math
import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Iterable

from sluice.contracts.finetune import MAX_LINE_ERRORS, DatasetFormat, DatasetReport, LengthStatistics, LineError
from sluice_finetune.domain.examples import Example, LineUnusable, read_example

MAX_CLASSES = 200
_CHECK_EVERY = 500
Checkpoint = Callable[[], None]


class LineTooLong(ValueError):
    """A line is over the limit; its rest was skipped."""


class DatasetValidator:
    """Takes the lines of one file in order; memory grows by about 60 bytes for each example."""

    def __init__(self) -> None:
        self._format: DatasetFormat | None = None
        self._lines = 0
        self._errors: list[LineError] = []
        self._error_count = 0
        self._duplicates = 0
        self._digests: set[bytes] = set()
        self._inputs = array("Q")
        self._outputs = array("Q")
        self._classes: Counter[str] | None = Counter()

    def take(self, line: bytes) -> None:
        """Take the next line; an empty one counts and holds nothing."""
        self._lines += 1
        if not line.strip():
            return
        try:
            self._keep(read_example(line, self._format))
        except LineUnusable as exc:
            self._refuse(str(exc))

    def refuse(self, message: str) -> None:
        """Take a line that could not even be read."""
        self._lines += 1
        self._refuse(message)

    def report(self) -> DatasetReport:
        """Return the sum of what was taken."""
        classes = self._classes
        return DatasetReport(
            format=self._format,
            lines=self._lines,
            examples=len(self._inputs),
            error_count=self._error_count,
            errors=tuple(self._errors),
            duplicates=self._duplicates,
            input_length=length_statistics(self._inputs),
            output_length=length_statistics(self._outputs),
            distinct_outputs=len(classes) if classes else None,
            smallest_class=min(classes.values()) if classes else None,
        )

    def _keep(self, example: Example) -> None:
        self._format = example.format
        digest = example.digest
        if digest in self._digests:
            self._duplicates += 1
        self._digests.add(digest)
        output = example.output
        self._inputs.append(example.input_characters)
        self._outputs.append(len(output))
        if self._classes is not None:
            self._classes[output if len(output) <= 100 else output[:100] + str(len(output))] += 1
            if len(self._classes) > MAX_CLASSES:
                self._classes = None  # free text, no classes

    def _refuse(self, message: str) -> None:
        self._error_count += 1
        if len(self._errors) < MAX_LINE_ERRORS:
            self._errors.append(LineError(line=self._lines, message=message))


def validate(lines: Iterable[bytes | LineTooLong], checkpoint: Checkpoint) -> DatasetReport:
    """Return the report on a file; `checkpoint` is called every few hundred lines and may raise to end the work."""
    validator = DatasetValidator()
    for number, line in enumerate(lines):
        if number % _CHECK_EVERY == 0:
            checkpoint()
        if isinstance(line, LineTooLong):
            validator.refuse(str(line))
        else:
            validator.take(line)
    return validator.report()


def length_statistics(lengths: "array[int]") -> LengthStatistics | None:
    """Return the distribution of lengths, or None where there are none."""
    if not lengths:
        return None
    mean = math.fsum(lengths) / len(lengths)
    return LengthStatistics(
        mean=round(mean, 3),
        min=min(lengths),
        max=max(lengths),
        median=float(statistics.median(lengths)),
        std=round(math.sqrt(math.fsum((length - mean) ** 2 for length in lengths) / len(lengths)), 3),
    )
