"""A worker that does what the picture's bytes say: dies, hangs, fails, prints, or answers with their length."""

import os
import signal
import sys
import time

from memescope.children import private_streams
from memescope.scanning import frames

inbox, outbox = private_streams()
header, _ = frames.receive(inbox)
if header["model"] == "broken":
    frames.send(outbox, {"fatal": "no such model"})
    sys.exit(0)
frames.send(outbox, {"settings": {"model": header["model"]}, "card": {}, "tasks": []})
while True:
    try:
        header, blobs = frames.receive(inbox)
    except EOFError:
        break
    picture = blobs["picture"]
    if picture == b"die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if picture == b"hang":
        time.sleep(60)
    if picture == b"exit":
        os._exit(3)
    if picture == b"garbage":
        outbox.write(b"\xff" * 64)
        outbox.flush()
    if picture == b"print":
        print("a library talks to standard output")
    if picture == b"fail":
        frames.send(outbox, {"error": "not a picture", "lasting": True})
        continue
    record = {"length": len(picture), "text": header["text"], "pid": os.getpid()}
    frames.send(outbox, {"record": record}, {"thumbnail": picture})
