"""Actors for a node that supervises its own: what they did they leave in files, one line each, so a test can look."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from supervisor.actor import Actor
from supervisor.message import Delivery, Message


class Go(Message, frozen=True, kw_only=True):
    """A toy's private timer."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM


class Said(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
    by: str
    life: int


class Diarist(Actor):
    """Writes its beginning and its end into `diary`. What stands in the file `<diary>.<name>` it does, once."""

    def init(self, diary: str) -> None:
        self.diary = Path(diary)
        self.order = Path(f"{diary}.{self.ctx.name}")
        self.write("init")
        self.ctx.after(0.002, Go())

    def handle(self, message: Message) -> None:
        self.ctx.after(0.002, Go())
        try:
            order = self.order.read_text()
            self.order.unlink()
        except FileNotFoundError:
            return
        self.ctx.progress("ordered")
        self.obey(order)

    def obey(self, order: str) -> None:
        match order:
            case "raise":
                raise ValueError("as told")
            case "exit":
                raise SystemExit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "hang":
                self.write("hangs")
                while not Path(f"{self.diary}.wake").exists():
                    time.sleep(0.002)
                self.write("woke")
                try:
                    self.ctx.publish(Said(by=self.ctx.name, life=self.ctx.incarnation))
                except Exception as error:  # noqa: BLE001  the point of the test: no handler of ours may catch it
                    self.write(f"caught {error}")
                else:
                    self.write("was allowed to publish")

    def canary(self, name: str) -> str:
        return f"{self.ctx.name} hears {name}"

    def terminate(self, reason: str) -> None:
        self.write("terminate")

    def write(self, what: str) -> None:
        with self.diary.open("a") as file:
            file.write(f"{self.ctx.name} {self.ctx.incarnation} {what}\n")


class Talker(Diarist):
    publishes = (Said,)


class Slow(Diarist):
    """Takes its time to end."""

    def terminate(self, reason: str) -> None:
        time.sleep(0.5)
        self.write("terminate")


class NeverReady(Actor):
    def init(self, **_: Any) -> None:
        threading.Event().wait(3600)


class FailsToStart(Actor):
    def init(self, **_: Any) -> None:
        raise KeyError("the same every time")


class Light(Actor):
    """What a thousand of them are like: subscribes to nothing, publishes nothing, does nothing."""

    def init(self) -> None:
        self.pid = os.getpid()


class Audience(Actor):
    """Hears, and says nothing."""

    subscribes = (Said,)

    def handle(self, message: Message) -> None:
        self.ctx.progress("heard")


class Forgetful(Diarist):
    """In its first life it has lost what it should know."""

    def canary(self, name: str) -> str:
        return "no idea" if self.ctx.incarnation == 1 else super().canary(name)
