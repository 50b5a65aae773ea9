"""A step ahead: its result, its error, and that none is left behind."""

import asyncio

import pytest

from registry.ahead import Ahead


async def test_a_step_runs_while_the_next_is_prepared() -> None:
    go = asyncio.Event()

    async def step() -> int:
        await go.wait()
        return 7

    async with Ahead[int]() as ahead:
        assert await ahead.result() is None
        ahead.start(step())
        go.set()

        assert (await ahead.result(), await ahead.result()) == (7, None)


async def test_a_step_that_fails_is_told_once() -> None:
    async def step() -> int:
        raise ZeroDivisionError

    async with Ahead[int]() as ahead:
        ahead.start(step())
        with pytest.raises(ZeroDivisionError):
            await ahead.result()

        assert await ahead.result() is None


async def test_no_step_outlives_its_block() -> None:
    ended = []

    async def step() -> int:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)
        return 0

    with pytest.raises(ConnectionError):
        async with Ahead[int]() as ahead:
            ahead.start(step())
            await asyncio.sleep(0)
            raise ConnectionError

    assert ended == [True]


async def test_an_error_of_a_step_that_nobody_waits_for_does_not_hide_the_blocks_own() -> None:
    async def step() -> int:
        raise ZeroDivisionError

    with pytest.raises(ConnectionError):
        async with Ahead[int]() as ahead:
            ahead.start(step())
            await asyncio.sleep(0)
            raise ConnectionError
