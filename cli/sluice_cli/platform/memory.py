"""How much memory parts take."""

import psutil


def proportional_memory(process: psutil.Process) -> int:
    """Return the bytes of a part and its own children (the model engine under the inference service).

    The proportional set size: a page that several processes share counts by its share, so that sums are right. Where the
    system does not tell it, the resident size stands for it.
    """
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            full = member.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
