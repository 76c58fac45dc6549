"""Parameters of an execution, as people type them. Reads the store."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any

from runner.access.places import Places
from runner.commands import Command
from runner.errors import UsageError
from runner.store.opening import read_store


def param_in(text: str) -> tuple[str, Any]:
    """Return the name and the value in NAME=VALUE. Raises UsageError."""
    name, found, value = text.partition("=")
    if not found or not name.isidentifier():
        raise UsageError(
            f"--param {text!r}: write NAME=VALUE, with a name of letters, digits and `_`"
        )
    return name, param_value(value)


def param_value(text: str) -> Any:
    """Return the value that a person means: of JSON if possible, else the text.

    >>> param_value("2026"), param_value("main")
    (2026, 'main')
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def refuse_secrets(command: Command, places: Places) -> None:
    """Refuse parameters that contain secrets, before the command is written to the
    store.

    Raises RefusedError.
    """
    from runner.requests.model import ProcessRequest
    from runner.service.deciding.answering import refuse_secret_params
    from runner.service.registry import remembered

    with closing(read_store(places.store)) as reader:
        rows = reader.snapshot().requests

    def find(name: str) -> ProcessRequest | None:
        return remembered([row for row in rows if row.name == name], zone=places.zone)[0].get(name)

    if (request := find(command.targets[0])) is not None:
        refuse_secret_params(command.params, request, find, os.environ)
