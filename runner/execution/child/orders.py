"""The runner's orders to its launcher. Pure."""

from __future__ import annotations

from typing import TypedDict


class Orders(TypedDict):
    """What the launcher must set up before it becomes the program.

    Encoded by marshal, the fastest format to load. Both ends run the same interpreter, as
    marshal requires.
    """

    arguments: list[str]
    environment: dict[str, str]
    directory: str
    report: int
    """The descriptor of the report."""
    condition: tuple[list[str], float] | None
    """The arguments and the timeout, in seconds, of the program that runs first and decides."""
    is_reporting: bool
    """Whether the program itself writes to the report, so that it stays open for it."""
    stdin: bytes | None
    cgroup: str | None
    """The folder of the cgroup to join."""
    limits: list[tuple[int, int, int]]
    """(resource, soft, hard), as for setrlimit."""
    late_limits: list[tuple[int, int, int]]
    """As `limits`, but set just before the exec."""
    nice: int | None
    umask: int | None
    identity: tuple[int, int, list[int]] | None
    """(uid, gid, supplementary groups); None to stay the same user."""
    secrets: list[bytes]
    """Every form of each secret to mask in the output."""
    is_supervised: bool
    """Whether the launcher stays and relays the output of the program."""
    is_stderr_reported: bool
    """Whether the report must say if the program wrote to stderr."""
    failing_texts: list[bytes]
    """The report must name the first of these that the masked output contains."""
