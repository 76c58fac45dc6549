"""Bare Procrastinate: a worker whose tasks spawn a program, for the comparison in `fleet`.

python fleet_tasks.py work CONNINFO CONCURRENCY
"""

from __future__ import annotations

import asyncio
import sys

from procrastinate import App, PsycopgConnector

QUEUE = "bare"


def bare_app(conninfo: str) -> App:
    """Return an app with one task, which runs a program to its end."""
    app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=2, max_size=10))

    @app.task(name="bare", queue=QUEUE)
    async def bare() -> None:
        process = await asyncio.create_subprocess_exec("/bin/true")
        await process.wait()

    return app


async def work(conninfo: str, concurrency: int) -> None:
    """Work until a signal."""
    app = bare_app(conninfo)
    async with app.open_async():
        await app.run_worker_async(
            queues=[QUEUE], concurrency=concurrency, delete_jobs="always", wait=True
        )


async def defer(conninfo: str, count: int) -> None:
    """Defer that many tasks at once."""
    app = bare_app(conninfo)
    async with app.open_async():
        await app.tasks["bare"].batch_defer_async(*({} for _ in range(count)))


if __name__ == "__main__":
    asyncio.run(work(sys.argv[2], int(sys.argv[3])))
