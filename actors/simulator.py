"""`sim:<venue>`: an exchange simulator as a child of the tree, in sim and replay mode only.

It is ready when its socket listens, it works while frames go out, and it says once that a recording is over. It crashes
with the server: a simulator that cannot listen or play is no venue.
"""

from __future__ import annotations

from typing import Any

from actors.messages.market import ReplayFinished
from actors.venues.ports import Closes, OpensVenue
from actors.venues.sim_port import VenueFailed, VenueFinished, VenueListening, VenueProgress
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message


class Simulator(Actor):
    """Hosts the simulator; `settings` are its own (host, port, home, data, speed, faults, seed …). `started_ns`: of the
    launch, so that the end of its recording is not taken for that of another run.
    """

    publishes = (ReplayFinished,)
    ready_after_init = False

    def init(
        self, opens: str | OpensVenue = "actors.venues.sim_port:open", started_ns: int = 0, **settings: Any
    ) -> None:
        self._frames = 0
        self._started_ns = started_ns
        self._venue: Closes = load(opens)(self.ctx.post, **settings)

    def handle(self, message: Message) -> None:
        match message:
            case VenueListening():
                self.ctx.progress(f"listening on {message.port}")
                self.ctx.ready()
            case VenueProgress(frames=frames) if frames > self._frames:
                self._frames = frames
                self.ctx.progress(f"{frames} frames")
            case VenueFinished():
                self.ctx.publish(
                    ReplayFinished(
                        frames=message.frames,
                        first_ns=message.first_ns,
                        last_ns=message.last_ns,
                        wall_s=message.wall_s,
                        injected=message.injected,
                        started_ns=self._started_ns,
                    )
                )
            case VenueFailed():
                raise RuntimeError(f"the simulator {self.ctx.name} ended: {message.reason}")

    def terminate(self, reason: str) -> None:
        self._venue.close()
