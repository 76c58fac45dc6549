"""What the store remembers of requests, built only where a command looks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from runner.errors import RunnerError
from runner.planning.states.state import RequestState, state_from
from runner.requests.building.stored import request_from_definition
from runner.requests.catalog.cached_requests import Recalled, SuppliedRequests, Supply
from runner.store.rows import RequestRow


def stored_requests(
    rows: Iterable[RequestRow], *, zone: str, recalled: Recalled
) -> SuppliedRequests:
    """Return the last good requests in a store's rows, as `remembered` does.

    A definition that the cache has, too, is supplied by the same object.
    """
    supplies: dict[str, Supply] = {}
    for row in rows:
        if row.definition is None:
            continue
        with suppress(RunnerError):
            supplies[row.name] = recalled.get(row.definition) or request_from_definition(
                row.definition, default_zone=zone, accepted=recalled
            )
    return SuppliedRequests(supplies)


class StoredStates(Mapping[str, RequestState]):
    """The states in a store's rows by name; each is read when it is asked for."""

    def __init__(self, rows: Iterable[RequestRow]) -> None:
        self._rows = {row.name: row for row in rows if row.fired_through is not None}
        self._read: dict[str, RequestState] = {}

    def __getitem__(self, name: str) -> RequestState:
        if name not in self._read:
            row = self._rows[name]
            assert row.fired_through is not None, "rows without it were left out"
            self._read[name] = state_from(
                row.state, generation=row.generation, fired_through=row.fired_through
            )
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
