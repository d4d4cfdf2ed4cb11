"""Copies of training files in a local folder, which API and worker share."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from sluice.blobs import FolderBlobs, missing
from sluice_finetune.domain.jobs import job_of_copy
from sluice_finetune.domain.validation import LineTooLong


class Copies(FolderBlobs):
    """One copy of each file that an open job needs, so that a job depends on nothing but itself once it is made."""

    def __init__(self, folder: Path, max_line_bytes: int) -> None:
        super().__init__(folder)
        self._max_line_bytes = max_line_bytes

    def lines(self, key: str) -> Iterator[bytes | LineTooLong]:
        """Yield the lines; one over the limit comes as `LineTooLong` and its rest is skipped. Blocks: call it from a thread.

        Raises:
            BlobMissing: the content is not there.
        """
        try:
            file = (self.folder / key).open("rb")
        except FileNotFoundError as exc:
            raise missing() from exc
        with file:
            while line := file.readline(self._max_line_bytes + 1):
                if len(line) <= self._max_line_bytes or line.endswith(b"\n"):
                    yield line
                    continue
                while rest := file.readline(self._max_line_bytes):
                    if rest.endswith(b"\n"):
                        break
                yield LineTooLong(f"longer than {self._max_line_bytes} bytes")

    def keep_only(self, jobs: AbstractSet[str], before: float) -> int:
        """Remove copies of jobs that are not among these, untouched since `before` (unix s). Return how many."""
        removed = 0
        for path in self.folder.glob("*"):
            if job_of_copy(path.name) not in jobs and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                removed += 1
        return removed
