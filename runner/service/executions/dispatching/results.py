"""Notes the results of executions for the next commit."""

from __future__ import annotations

from collections.abc import Mapping

from runner.planning.fires.planned_status import cut_off
from runner.planning.states.renaming import current_name
from runner.planning.states.results import is_result
from runner.service.executions.execution import Execution
from runner.service.executions.execution_records import result_row
from runner.service.recording.journal import Journal
from runner.service.registry import Registry, request_row


class Results:
    """Notes results, and what they change of a request's state, in the journal."""

    def __init__(self, registry: Registry, journal: Journal) -> None:
        self._registry = registry
        self._journal = journal

    def note_finished(self, fields: Mapping[str, object]) -> None:
        """Note the result in an `execution.finished` record, if there is one."""
        if is_result(fields):
            self._journal.note_result(result_row(fields, self._registry.states))

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
