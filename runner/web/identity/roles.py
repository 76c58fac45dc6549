"""Who uses the page: roles, and which requests a viewer may see. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.errors import RunnerError
from runner.matching import has_labels
from runner.monitor.events import WEB


class ForbiddenError(RunnerError):
    """The viewer's role or scope does not allow it. Nothing changed."""


class Role(StrEnum):
    """What a viewer may do; each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """Return whether this role includes the one that is needed.

        >>> Role.ADMIN.allows(Role.VIEWER), Role.VIEWER.allows(Role.OPERATOR)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The requests and executions that a viewer may see and touch.

    `labels` are texts KEY=VALUE, as in `--label`: values of one key are alternatives, and
    each key must match. `client` is that of `context`. Without both, everything is seen.
    """

    labels: frozenset[str] = frozenset()
    client: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether the scope has no condition."""
        return not self.labels and self.client is None

    def admits(self, labels: Mapping[str, str], client: str | None) -> bool:
        """Return whether a request or a record with these labels and this client is inside.

        >>> finance = Scope(labels=frozenset({"team=finance"}))
        >>> finance.admits({"team": "finance"}, None), finance.admits({}, None)
        (True, False)
        """
        by_key: dict[str, set[str]] = {}
        for text in self.labels:
            by_key.setdefault(text.partition("=")[0], set()).add(text)
        is_client = self.client is None or self.client == client
        return is_client and has_labels(labels, map(frozenset, by_key.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who asks: the name of a token, or of the person who runs `runner web`."""

    name: str
    role: Role
    scope: Scope = Scope()

    @property
    def requested_by(self) -> str:
        """The viewer in a command and in the monitor log; no user's name has a colon."""
        return WEB + self.name
