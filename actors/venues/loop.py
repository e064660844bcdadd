"""A thread with an asyncio loop in it: where a port lives. The actor's thread asks, this one answers by messages.

It ends when its main coroutine ends; a main coroutine that fails is told to `failed`, because a port whose thread died
silently would look like a quiet venue.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

STOP_S = 3.0


class LoopThread:
    """`main` runs in the thread's own loop until `stop`, which cancels it and waits."""

    def __init__(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, None]],
        failed: Callable[[BaseException], None],
        unhandled: Callable[[dict[str, Any]], None],
    ) -> None:
        self._main, self._failed = main, failed
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _loop, context: unhandled(context))
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._main())
        if self._closing:
            self._task.cancel()
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - told to the actor, which ends with it
            self._failed(error)
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=1.0))
            self._loop.close()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Run `function` in the loop soon, from any thread. After the end it is a no-op."""
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(function, *arguments)
            except RuntimeError:  # race: the loop closed between the two lines
                return

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Cancel the main coroutine and wait for the thread; False when it did not end in time (it is a daemon)."""
        self._closing = True
        self.call(self._cancel)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()
