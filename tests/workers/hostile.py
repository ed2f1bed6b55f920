"""The real worker, with a decoder that a picture ending in DIE kills and one ending in HANG hangs."""

import os
import signal
import time

from memescope.perception import pictures
from memescope.scanning import worker

decode = pictures.open_picture


def hostile(source):  # type: ignore[no-untyped-def]
    if isinstance(source, bytes) and source.endswith(b"DIE"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if isinstance(source, bytes) and source.endswith(b"HANG"):
        time.sleep(60)
    return decode(source)


pictures.open_picture = hostile
worker.main()
