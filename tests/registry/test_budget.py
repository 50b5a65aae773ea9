"""The budget for large bodies: fair, never overdrawn, never leaking."""

import asyncio
from typing import Any

import pytest

from registry.budget import Budget


async def held(budget: Budget, size: int, until: asyncio.Event, log: list[int]) -> None:
    async with budget.hold(size):
        log.append(size)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_fits_is_held_at_once_and_the_rest_waits_in_line():
    log: list[Any] = []
    budget, first, second = Budget(10), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(held(budget, 6, first, log))
        await settle()
        tasks.create_task(held(budget, 7, second, log))
        await settle()
        tasks.create_task(held(budget, 1, second, log))
        await settle()

        assert log == [6]  # the small one may not overtake, or the large one would wait for ever
        assert budget.free == 4

        first.set()
        await settle()

        assert log == [6, 7, 1]
        assert budget.free == 2
        second.set()
    assert budget.free == 10


async def test_who_gives_up_leaves_the_line():
    log: list[Any] = []
    budget, done = Budget(10), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(held(budget, 6, done, log))
        await settle()
        impatient = asyncio.create_task(held(budget, 9, done, log))
        await settle()
        tasks.create_task(held(budget, 4, done, log))
        await settle()

        assert log == [6]

        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        await settle()

        assert log == [6, 4]
        done.set()
    assert budget.free == 10


async def test_a_turn_that_comes_in_the_moment_of_giving_up_is_passed_on():
    log: list[Any] = []
    budget, done = Budget(10), asyncio.Event()
    holder_done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(held(budget, 10, holder_done, log))
        await settle()
        waiter = asyncio.create_task(held(budget, 10, done, log))
        await settle()
        holder_done.set()
        await asyncio.sleep(0)
        assert not budget._line  # the holder has given its bytes to the waiter, which has not run yet
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    assert budget.free == 10
    assert log == [10]


async def test_who_gives_up_in_the_moment_in_which_bytes_are_given_is_passed_over():
    log: list[Any] = []
    budget, done = Budget(10), asyncio.Event()
    holder_done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(held(budget, 10, holder_done, log))
        await settle()
        impatient = asyncio.create_task(held(budget, 7, done, log))
        tasks.create_task(held(budget, 9, done, log))
        await settle()
        holder_done.set()
        impatient.cancel()  # its turn is cancelled at once, itself only after the holder has given its bytes
        with pytest.raises(asyncio.CancelledError):
            await impatient
        await settle()

        assert log == [10, 9]
        done.set()
    assert budget.free == 10


async def test_the_very_largest_comes_in_alone():
    budget = Budget(10)
    async with budget.hold(25):
        assert budget.free == 0
    assert budget.free == 10
