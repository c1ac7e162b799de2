"""How a coroutine waits for a native call: no thread does, and none but the event loop's own touches Python."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from lockstore import _native


class _Door:
    """The bell of one event loop, and who waits for it to ring."""

    def __init__(self) -> None:
        self.bell = _native.Bell()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._last = 0

    def enter(self, loop: asyncio.AbstractEventLoop) -> int:
        """The number of one more call."""
        self._last += 1
        if not self._waiting:
            loop.add_reader(self.bell.fileno(), self._answer)
        self._waiting[self._last] = loop.create_future()
        return self._last

    async def rings(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        """Waits until the bell has rung for the call of this number."""
        try:
            await self._waiting[number]
        finally:
            self._waiting[number] = loop.create_future()

    def leave(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        """The call is over."""
        del self._waiting[number]
        if not self._waiting and not loop.is_closed():
            loop.remove_reader(self.bell.fileno())

    def _answer(self) -> None:
        for number in self.bell.rung():
            future = self._waiting.get(number)
            if future is not None and not future.done():
                future.set_result(None)


#: Who waits keeps its door, and its loop does while anybody waits: a future knows its loop, and would keep it here for ever.
_doors: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Door]] = weakref.WeakKeyDictionary()


async def wait(call: _native.Call) -> Any:
    """What the call comes to. When this is cancelled, the call is given up, and what it was granted meanwhile is handed on."""
    loop = asyncio.get_running_loop()
    door = _door(loop)
    number = door.enter(loop)
    try:
        while (answer := call.poll(door.bell, number)) is None:
            await door.rings(loop, number)
        return answer[0]
    except BaseException:
        call.give_up()
        raise
    finally:
        door.leave(loop, number)


async def finish(call: _native.Call) -> Any:
    """What the call comes to, which is soon. A cancellation has to wait for it: a lock that is let go of is let go of."""
    loop = asyncio.get_running_loop()
    door = _door(loop)
    number = door.enter(loop)
    cancelled: asyncio.CancelledError | None = None
    try:
        while (answer := call.poll(door.bell, number)) is None:
            try:
                await door.rings(loop, number)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return answer[0]
    finally:
        door.leave(loop, number)


def _door(loop: asyncio.AbstractEventLoop) -> _Door:
    known = _doors.get(loop)
    door = None if known is None else known()
    if door is None:
        door = _Door()
        _doors[loop] = weakref.ref(door)
    return door
