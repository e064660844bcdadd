"""The `qt` command. Before anything of it is imported, the packages it stands on are proved to be ours.

supervisord's package is called `supervisor`, too, and installed over ours it would be found first: everything after
that would fail in ways that name neither. So it ends here, with a sentence and 78 (bad configuration).
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


def _foreign() -> str:
    """The sentence that refuses the first package that is not ours; nothing when all are."""
    for name in ("supervisor", "actors", "config", "models_onnx"):
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parents[1] if spec is not None and spec.origin else Path("nowhere")
        if found != HOUSE:
            return (
                f"the package {name!r} that Python found lies in {found}, not beside {HOUSE / 'ops'}; "
                "install Quantum Trader into an environment of its own (make setup)"
            )
    return ""


os.environ["SUPERVISOR_COMMAND"] = "qt"  # what every process below names as the remedy (supervisor.terminal.command)

if _sentence := _foreign():
    print(_sentence, file=sys.stderr)
    raise SystemExit(78)
