"""A request as planning sees it, and its state after a runner has seen it. Its process
is irrelevant.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runner.planning.states.state import RequestState
from runner.planning.transitions.registration import register
from runner.requests.model import Process, ProcessRequest, Program, Source, Timing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def request_of(
    timing: Timing | None, name: str = "p", *, guarded: bool = False, **fields: Any
) -> ProcessRequest:
    process = Process(
        name=name, action=Program(arguments=("true",)), directory="/", prevent_concurrent=guarded
    )
    source = Source(file=f"{name}.yaml", line=1, sha256="")
    return replace(
        ProcessRequest(name=name, process=process, timing=timing, source=source), **fields
    )


def seen(request: ProcessRequest, now: datetime = NOON) -> RequestState:
    return register(request, None, now).state
