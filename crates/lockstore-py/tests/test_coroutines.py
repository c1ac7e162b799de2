"""Locks of coroutines: no thread waits for any of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
import weakref

import pytest
from support import PATIENCE, server_pid, wait_until

import lockstore


def threads():
    return len(os.listdir("/proc/self/task"))


async def waiters(store, number, key="k"):
    """Lets others run until so many wait."""

    async def wait():
        while (lock := store.inspect(key)) is None or lock.waiters != number:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), PATIENCE)


def test_a_lock_is_held_for_as_long_as_the_async_with(store):
    async def main():
        async with store.lock("k", ttl=3600) as lock:
            assert store.is_lock_holder("k", lock.holder)
        assert not store.is_locked("k")
        with pytest.raises(lockstore.LeaseLost):
            async with store.lock("k") as lock:
                store.break_lock("k", lock.token)
        with pytest.raises(ZeroDivisionError):
            async with store.lock("k") as lock:
                store.break_lock("k", lock.token)
                raise ZeroDivisionError
        with pytest.raises(lockstore.NotHeld):
            await lock.release_async()

    asyncio.run(main())


def test_200_waiters_of_one_loop_are_served_in_their_order_and_take_no_thread(store):
    order = []

    async def wait(number):
        async with store.lock("k"):
            order.append(number)

    async def main():
        async with store.lock("k"):
            before = threads()
            tasks = []
            for number in range(200):
                tasks.append(asyncio.create_task(wait(number)))
                # Each asks as soon as it runs.
                await asyncio.sleep(0)
            await waiters(store, 200)
            assert threads() <= before + 1
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert order == list(range(200))


def test_a_wait_ends_with_its_time(store):
    async def main():
        async with store.lock("k"):
            with pytest.raises(TimeoutError):
                await store.lock("k", timeout=0.05).acquire_async()
            with pytest.raises(TimeoutError):
                await store.lock("k").acquire_async(timeout=0)
            assert not await store.wait_until_free_async("k", 0.05)
        assert await store.wait_until_free_async("k")

    asyncio.run(main())


def test_the_time_of_a_wait_counts_from_the_call(store):
    async def main():
        async with store.lock("k"):
            waiting = store.lock("k").acquire_async(timeout=0.5)
            time.sleep(0.6)
            task = asyncio.create_task(waiting)
            while not task.done():
                assert store.inspect("k").waiters == 0, "its time is over"
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                await task

    asyncio.run(main())


def test_the_loop_goes_on_while_the_first_lock_begins_the_session(store, path):
    server = server_pid(path)

    async def main():
        before = threads()
        os.kill(server, signal.SIGSTOP)
        try:
            tasks = [asyncio.create_task(store.lock(f"k{number}").acquire_async()) for number in range(200)]
            # Each asks as soon as it runs.
            for _ in range(10):
                await asyncio.sleep(0)
            assert threads() <= before + 3
            assert not any(task.done() for task in tasks)
        finally:
            os.kill(server, signal.SIGCONT)
        return await asyncio.gather(*tasks)

    locks = asyncio.run(main())
    assert len(store.list()) == len(locks) == 200 and store.stats()["sessions"] == 1


def test_who_is_cancelled_waits_no_longer_and_the_next_comes(store):
    async def main():
        async with store.lock("k"):
            first = asyncio.create_task(store.lock("k").acquire_async())
            await waiters(store, 1)
            second = asyncio.create_task(store.lock("k", "second").acquire_async())
            await waiters(store, 2)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await waiters(store, 1)
        lock = await second
        assert store.is_lock_holder("k", "second")
        await lock.release_async()

    asyncio.run(main())


@pytest.mark.parametrize("pauses", range(6))
def test_what_was_granted_to_who_is_cancelled_is_handed_on(store, pauses):
    """However far the grant has come on its way."""

    async def main():
        async with store.lock("k"):
            first = store.lock("k")
            task = asyncio.create_task(first.acquire_async())
            await waiters(store, 1)
        for _ in range(pauses):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
            assert first.token is None
        else:
            await task
            first.release()
        # Nobody else could have it, if it had been lost on the way.
        assert await store.wait_until_free_async("k", PATIENCE)

    asyncio.run(main())


def test_a_release_that_is_cancelled_is_done_all_the_same(store):
    async def main():
        lock = store.lock("k", session=False)
        await lock.acquire_async()
        task = asyncio.create_task(lock.release_async())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not store.is_locked("k")

    asyncio.run(main())


def test_a_coroutine_that_nobody_awaits_asks_for_nothing(store):
    lock = store.lock("k")
    lock.acquire_async().close()
    assert not store.is_locked("k")
    with lock:
        pass


def test_a_release_that_nobody_awaits_releases_nothing(store):
    with store.lock("k") as lock:
        lock.release_async().close()
        assert lock.is_valid()


def test_loops_come_and_go_and_leave_no_descriptor(store):
    async def main():
        async with store.lock("k"):
            pass

    asyncio.run(main())
    before, loops = len(os.listdir("/proc/self/fd")), 20
    for _ in range(loops):
        asyncio.run(main())
    # A replica set's driver may have connected once more meanwhile. A loop that leaves something leaves it each time.
    assert len(os.listdir("/proc/self/fd")) < before + loops


def test_a_loop_that_ends_gives_its_waits_up(store):
    with store.lock("k"):

        async def main():
            asyncio.create_task(store.lock("k").acquire_async())
            await waiters(store, 1)

        asyncio.run(main())
        wait_until(lambda: store.inspect("k").waiters == 0)


def test_events_are_told_to_a_coroutine(store):
    async def main():
        told = []

        async def listen(events):
            async for event in events:
                if event.key is not None:
                    told.append(event.kind)

        listening = asyncio.create_task(listen(store.subscribe("k")))
        await asyncio.sleep(0)
        async with store.lock("k"):
            pass
        while len(told) < 2:
            await asyncio.sleep(0.005)
        store.close()
        await asyncio.wait_for(listening, PATIENCE)
        assert told == ["granted", "ended"]

    asyncio.run(main())


def test_a_loop_that_is_dropped_with_a_wait_is_collected(store):
    held = store.lock("k").acquire()
    loop = asyncio.new_event_loop()
    task = loop.create_task(store.lock("k").acquire_async())
    loop.run_until_complete(waiters(store, 1))
    assert not task.done()
    task._log_destroy_pending = False
    gone = weakref.ref(loop)
    loop.close()
    del loop, task
    gc.collect()
    assert gone() is None
    held.release()
