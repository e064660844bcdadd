"""A heart that only beats: a process with the control protocol of `fake_root`, for the tests of `qt up`'s own part.

`python -m tests.ops.fake_heart HOME BEHAVIOUR`: "calm" ends in order on SIGTERM, "deaf" ignores it, "dies" ends with 70
before it is ready, "falls" with 70 after it.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from tests.ops.fake_root import TREE, child, fake_root, status

BOOTING = status(child("root/a", ready=False, state="starting", verdict="STARTING"), state="starting")


def main() -> int:
    home, behaviour = Path(sys.argv[1]), sys.argv[2]
    over = threading.Event()
    signal.signal(signal.SIGTERM, (lambda *_: None) if behaviour == "deaf" else (lambda *_: over.set()))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as the real one does
    if behaviour == "dies":
        print("no journal can be written: disk full", file=sys.stderr)
        return 70
    with fake_root(home) as root:
        root.answers["status"] = lambda _: TREE if len(root.asked) > 2 else BOOTING
        root.answers["down"] = lambda _: over.set() or {"ok": True, "code": "ok", "text": "ending"}
        if behaviour == "falls":
            while len(root.asked) < 6:
                over.wait(0.05)
            return 70
        while not over.wait(0.2):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
