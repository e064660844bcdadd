"""What `qt up` and `qt check` prove before anything starts: the models are the promised ones, and ours is `supervisor`.

Run as a process of its own (`python -m ops.verify`), because proving the models loads onnxruntime.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ops.exits import BAD_CONFIG, OK, Refusal

HOUSE = Path(__file__).resolve().parents[1]


def house() -> None:
    """Refuse to run on somebody else's `supervisor` (supervisord's package has that name and may shadow ours).

    Raises:
        Refusal: BAD_CONFIG, naming the foreign file.
    """
    import actors
    import config
    import models_onnx
    import supervisor

    for package in (supervisor, actors, config, models_onnx):
        found = Path(package.__file__ or "nowhere").resolve().parent.parent
        if found != HOUSE:
            raise Refusal(
                BAD_CONFIG,
                f"the package {package.__name__!r} that Python found lies in {found}, not beside {HOUSE / 'ops'}; "
                "install Quantum Trader into an environment of its own (make setup)",
            )


def models() -> None:
    """Refuse models that are not the manifest's, or do not compute what it promises.

    Raises:
        Refusal: BAD_CONFIG, with the model's own sentence.
    """
    from actors.rules.features import SCHEMA_HASH
    from models_onnx.manifest import ModelRefused
    from models_onnx.predictor import Predictor

    try:
        Predictor.load(HOUSE / "models_onnx", SCHEMA_HASH)
    except ModelRefused as error:
        raise Refusal(BAD_CONFIG, str(error)) from error


def main() -> int:
    try:
        house()
        models()
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    return OK


if __name__ == "__main__":
    sys.exit(main())
