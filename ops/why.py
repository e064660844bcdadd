"""`qt why NAME`: the evidence for and against a verdict, what was done, what was withheld, what happens next."""

from __future__ import annotations

import json
import time
from pathlib import Path

from supervisor.runtime.explain import lines
from supervisor.runtime.verbs import ask
from supervisor.terminal import OK


def run(home: Path, name: str, output: str, last_restart: bool) -> int:
    answer = ask(home, "why", name=name)
    if last_restart:
        answer = {key: answer[key] for key in ("schema", "name", "path", "last_restart", "last_exit") if key in answer}
    print(json.dumps(answer) if output == "json" else "\n".join(lines(answer, time.time(), last_restart)))
    return OK
