"""The variables that hold URLs and passwords. Reads environment files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from runner.execution.child.program import SpawnError
from runner.execution.environment_files import read

MASK = "***"
_SHORTEST_SECRET = 4
"""Characters. To mask a shorter value would make a message unreadable."""


class SendError(Exception):
    """A message or ping could not be sent. The text is for people, and contains no secret."""


class Variables:
    """The environment, in which the variables of an environment file take precedence.

    `masked` hides every value that was read.
    """

    def __init__(self, environment_file: str | None) -> None:
        """Raises SendError."""
        try:
            self._from_file = read(environment_file) if environment_file else {}
        except SpawnError as error:
            raise SendError(str(error)) from None
        self._secrets = {*self._from_file.values()}

    @property
    def environment(self) -> Mapping[str, str]:
        """All variables, for a program."""
        return {**os.environ, **self._from_file}

    def value(self, name: str) -> str:
        """Return the value of a variable. Raises SendError if it is not set, or empty."""
        value = self._from_file.get(name) or os.environ.get(name)
        if not value:
            raise SendError(
                f"the variable {name} is not set; `environment_file` in runner.yaml may supply it"
            )
        self._secrets.add(value)
        return value

    def url(self, name: str) -> str:
        """Return the http or https URL in a variable. Raises SendError for anything else."""
        value = self.value(name)
        try:
            parts = urlsplit(value)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
            is_good = is_good and parts.port != 0  # raises ValueError without a number
            self._secrets.update((parts.path.strip("/"), parts.query, parts.password or ""))
        except ValueError:
            is_good = False
        if not is_good or not value.isascii() or not value.isprintable() or " " in value:
            raise SendError(f"the variable {name} does not hold an http or https URL")
        return value

    def masked(self, text: str) -> str:
        """Return a text without the values of secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, MASK)
        return text
