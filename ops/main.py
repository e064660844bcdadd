"""`qt`: the console script. A verb's outcome becomes an exit code, and a `Refusal` one sentence on stderr.

All verbs are typer's (commands.py). A plain `qt status` does not wait for it: at 3 a.m., and once a second in scripts,
0.2 s of imports are most of the answer. Whatever is not plain, wrong words included, is typer's to answer.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from supervisor.terminal import CANNOT_TELL, OK, Refusal

# Importing makes many objects and no garbage: fewer collections save a sixth of `qt status`.
gc.set_threshold(50_000, 10, 10)


def main() -> None:
    """Sets the exit code; never shows a traceback for a refusal."""
    try:
        code = plain_status(sys.argv[1:])
        if code is None:
            from ops.commands import run

            code = run()
    except Refusal as refusal:
        print(f"qt: {refusal}", file=sys.stderr)
        sys.exit(refusal.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        sys.exit(OK)
    except OSError as error:
        print(f"qt: {error}", file=sys.stderr)
        sys.exit(CANNOT_TELL)
    sys.exit(code)


def plain_status(words: Sequence[str]) -> int | None:
    """The exit code of `status [NAME] [--home HOME] [-o FORMAT]`; None when these words are anything else."""
    if not words or words[0] != "status":
        return None
    from ops.home import resolve
    from ops.status import FORMATS, run

    given: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        place = {"--home": "home", "-o": "output", "--output": "output"}.get(word, "name")
        value = word if place == "name" else next(rest, "-")
        if place in given or value.startswith("-") or not value:
            return None
        given[place] = value
    output = given.get("output", FORMATS[0])
    return run(resolve(given.get("home")), given.get("name"), output, watch=False) if output in FORMATS else None


if __name__ == "__main__":
    main()
