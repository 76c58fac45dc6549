"""A server that answers from memory what viewers of the page ask, and prints its port.

Beside it a burst shows what the viewers themselves cost. Runs until it is killed.
"""

from __future__ import annotations

import asyncio

_PAGE = b"x" * 30_000
_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
_EVERY_S = 1.25


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request with a page, or with an event again and again."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /events "):
            writer.write(_HEAD + b"content-type: text/event-stream\r\n\r\n")
            while True:
                writer.write(b"event: changed\ndata: 1\n\n")
                await writer.drain()
                await asyncio.sleep(_EVERY_S)
        writer.write(_HEAD + b"\r\n" + _PAGE)
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the viewer is gone
    finally:
        writer.close()


async def main() -> None:
    """Serve on a free port."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
