"""Whose process a request runs: `process: {request: NAME}` followed to its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runner.errors import RefusedError
from runner.requests.model import Process, ProcessRequest, Reference


def followed(request: ProcessRequest, requests: Mapping[str, ProcessRequest]) -> Process:
    """Return what a request runs, its references followed. Raises RefusedError if one leads nowhere or in a circle."""
    seen, process = {request.name}, request.process
    while isinstance(process.action, Reference):
        name = process.action.request
        if name in seen or name not in requests:
            raise RefusedError(f"its process is that of {name!r}, which cannot be had")
        seen.add(name)
        process = requests[name].process
    return process
