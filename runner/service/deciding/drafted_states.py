"""The requests, their states and the pauses as a decision sees them: its own changes on top of
what is in force. Pure, apart from the batch that it fills.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from runner.lifecycle import RequestStatus
from runner.planning.states.pauses import KEY as PAUSES
from runner.planning.states.pauses import Pauses
from runner.planning.states.state import RequestState
from runner.requests.catalog.catalog import Rejection
from runner.requests.model import ProcessRequest
from runner.service.registry import Registry, request_row
from runner.store.rows import Batch


class DraftedStates:
    """Collects new states and pauses into `batch`.

    A reload replaces `requests`. `states` has only the states that the decision sets.
    """

    def __init__(self, registry: Registry) -> None:
        self.batch = Batch()
        self.states: dict[str, RequestState] = {}
        self.requests: Mapping[str, ProcessRequest] = registry.requests
        self.pauses = registry.pauses
        self._registry = registry

    def state(self, name: str) -> RequestState | None:
        """Return the state of a request as this decision sees it."""
        return self.states.get(name) or self._registry.states.get(name)

    def definition(self, name: str) -> ProcessRequest | None:
        """Return a request; if this decision removes it, the definition that it had."""
        return self.requests.get(name) or self._registry.requests.get(name)

    @property
    def all_states(self) -> Mapping[str, RequestState]:
        """The states of all requests as this decision sees them."""
        return ChainMap(self.states, self._registry.states)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """The rejected documents beside the requests."""
        return self._registry.rejections

    def put(self, name: str, state: RequestState) -> None:
        """Set the state of a request, and write it with the definition in force."""
        self.states[name] = state
        self.batch.requests[name] = request_row(name, self.requests.get(name), state)

    def put_pauses(self, pauses: Pauses) -> None:
        """Set the pauses."""
        self.pauses = pauses
        self.batch.meta[PAUSES] = pauses.text()

    def is_unscheduled(self, name: str | None) -> bool:
        """Return whether a request is unscheduled; False without a name."""
        state = None if name is None else self.state(name)
        return state is not None and state.status is RequestStatus.UNSCHEDULED
