"""Memory of training on a CPU: what one step frees is kept for the next.

glibc gives blocks of more than some megabytes back to the system at once, so that every step of a training pays for
fresh pages again, each filled with zeros by the kernel: here a sixth of a step's time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Names of glibc's settings (malloc.h)."""


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory in the process; False where it cannot (another C library).

    The process then stays at the size of its largest step until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "gnu_get_libc_version"):
        return False
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20}
    taken = [library.mallopt(name, value) == 1 for name, value in wanted.items()]
    return all(taken)
