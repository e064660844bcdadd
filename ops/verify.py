"""What `qt up` and `qt check` prove before anything starts: the models are the promised ones.

Run as a process of its own (`python -m ops.verify`), because proving the models loads onnxruntime.
"""

from __future__ import annotations

import sys

from ops import HOUSE
from supervisor.terminal import BAD_CONFIG, OK, Refusal


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
        models()
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code
    return OK


if __name__ == "__main__":
    sys.exit(main())
