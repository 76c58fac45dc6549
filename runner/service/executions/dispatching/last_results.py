"""Keeps in a request's state how its last execution ended."""

from __future__ import annotations

from collections.abc import Mapping

from runner.planning.states.planned_status import cut_off
from runner.planning.states.renaming import current_name
from runner.planning.states.results import unregistered_result, with_result
from runner.requests.model import ProcessRequest
from runner.service.executions.execution import Execution
from runner.service.recording.journal import Journal
from runner.service.registry import Registry, request_row


class LastResults:
    """Notes results in the registry at once, and in the journal for the next commit.

    `stored` are the definitions that the store holds, if they differ from the registry's:
    `runner exec` reads the files without putting them in force.
    """

    def __init__(
        self,
        registry: Registry,
        journal: Journal,
        *,
        stored: Mapping[str, ProcessRequest] | None = None,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._stored = stored

    def note_finished(self, fields: Mapping[str, object]) -> None:
        """Keep the result in an `execution.finished` record as its request's last one."""
        if (noted := with_result(self._registry.states, fields)) is not None:
            name, state = noted
            self._registry.remember(name, state)
            requests = self._registry.requests if self._stored is None else self._stored
            self._journal.note_request(request_row(name, requests.get(name), state))
        self._journal.note_meta(unregistered_result(self._registry.states, fields))

    def note_cut_off(self, execution: Execution) -> None:
        """Mark a one-time request whose execution was cut off by a restart."""
        name = current_name(execution.request, self._registry.states)
        request, state = self._registry.requests.get(name), self._registry.states.get(name)
        if request is None or state is None or execution.claim.generation is None:
            return
        marked = cut_off(request, state, execution.claim.generation)
        if marked is not state:
            self._registry.accept({request.name: marked})
            self._journal.note_request(request_row(request.name, request, marked))
