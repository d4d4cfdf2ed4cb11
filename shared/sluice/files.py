"""Tells when a configuration file has changed."""

from pathlib import Path

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Return what tells one state of a file from another, None while there is no file.

    Asking costs microseconds, so that a look every few seconds is cheaper than a watch, and unlike one it also works for
    volumes of containers and network file systems. The time of the last change of the inode moves with content and rights
    alike, and a file that was put in place of another (Kubernetes does so) has another inode.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_ino, found.st_size
