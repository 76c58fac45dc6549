"""What the runner asks of its launcher. Pure."""

from __future__ import annotations

from typing import TypedDict


class Orders(TypedDict):
    """All that a process needs and posix_spawn cannot do. It travels by marshal: both
    ends are one interpreter.

    `report` is the descriptor to answer on, kept open for the program if
    `is_reporting`; `cgroup` the folder of the one to join; `limits` are (resource,
    soft, hard), those in `late_limits` set at the last moment; `identity` is (uid, gid,
    supplementary groups).
    """

    arguments: list[str]
    environment: dict[str, str]
    directory: str
    report: int
    is_reporting: bool
    stdin: bytes | None
    cgroup: str | None
    limits: list[tuple[int, int, int]]
    late_limits: list[tuple[int, int, int]]
    nice: int | None
    umask: int | None
    identity: tuple[int, int, list[int]] | None
    secrets: list[bytes]
    is_stderr_told: bool
