"""Open pages learn that the log has grown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner.web.following import log_growth
from runner.web.following.log_growth import LogGrowth

_HANG_S = 30


async def grown(growth: LogGrowth, log: Path, text: bytes) -> None:
    """Append to a log, and wait until pages are told so."""
    upcoming = growth.next
    with log.open("ab") as file:
        file.write(text)
    await asyncio.wait_for(upcoming.wait(), _HANG_S)


@asynccontextmanager
async def watched(growth: LogGrowth, log: Path) -> AsyncIterator[None]:
    """Two pages look, of which one goes away at once. The log grows until it is looked at."""
    upcoming = growth.next
    with growth.watched():
        with growth.watched():
            pass
        async with asyncio.timeout(_HANG_S):
            while not upcoming.is_set():
                with log.open("ab") as file:
                    file.write(b"0\n")
                await asyncio.sleep(0.01)
        yield


def test_pages_learn_of_a_new_log_of_its_growth_and_of_its_replacement(tmp_path: Path) -> None:
    log = tmp_path / "monitor.jsonl"
    growth = LogGrowth(log)

    async def look() -> None:
        async with watched(growth, log):
            await grown(growth, log, b"1\n")
            log.rename(tmp_path / "monitor.jsonl.1")
            await grown(growth, log, b"1\n2\n")

    asyncio.run(look())


def test_pages_ask_less_often_while_the_log_grows_fast(tmp_path: Path) -> None:
    log = tmp_path / "monitor.jsonl"
    growth = LogGrowth(log)

    async def look() -> None:
        async with watched(growth, log):
            await grown(growth, log, b"1\n")
            assert growth.pause_s == log_growth._PAUSE_S
            await grown(growth, log, b"x" * (log_growth._BURST_BYTES + 1))
            assert growth.pause_s == log_growth._BURST_PAUSE_S
            await grown(growth, log, b"1\n")
            assert growth.pause_s == log_growth._PAUSE_S

    asyncio.run(look())


def test_nobody_looks_at_the_log_without_a_page(tmp_path: Path) -> None:
    log = tmp_path / "monitor.jsonl"
    growth = LogGrowth(log)

    async def look() -> int:
        async with watched(growth, log):
            assert len(asyncio.all_tasks()) > 1
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(look()) == 1
