"""`qt check`: settings, models, wiring and every constructor, without starting anything. Exit 0 sound, 78 not."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ops import prepare, up
from ops.prepare import Wishes
from supervisor.terminal import OK


def run(wishes: Wishes) -> int:
    """The questions of `qt up` in a throw-away home; raises the same refusals."""
    prepare.check_mode(wishes.mode)
    with tempfile.TemporaryDirectory(prefix="qt-check-") as scratch:
        # The ports of a running server are no fault of the configuration: any free one will do here.
        asked = replace(wishes, home=scratch, http_port=0)
        settings = prepare.settings(asked)
        launch = prepare.launch(asked, settings)
        prepare.make_home(Path(scratch))
        up.compile_plan(launch, check=True)
    instruments = len(settings.instruments())
    where = f"{instruments} instruments on {len(settings.venues)} venues"
    print(f"sound: {wishes.mode} mode, profile {settings.profile}, {where}")
    return OK
