"""`python -m supervisor.runtime.shim ROOT_PID PROGRAM …`: become PROGRAM, and die with the root.

A program cannot be forked by a zygote, and Popen's `preexec_fn` is not safe beside ZeroMQ's threads; the parent-death
signal outlives an exec, so this sets it and steps aside. 20 ms, once per start.
"""

from __future__ import annotations

import os
import sys

from supervisor.runtime import process

if __name__ == "__main__":
    process.die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        sys.exit(0)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]} cannot be started: {error}", file=sys.stderr)
        sys.exit(127)
