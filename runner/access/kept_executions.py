"""The results of a request and what is left of its outputs. Reads the store, and the
outputs folder or a fleet's outputs, when first asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import cached_property

from runner.execution.kept_outputs import kept_outputs
from runner.execution.output import outputs_folder
from runner.planning.retention import EndedExecution
from runner.store.opening import read_store
from runner.store.place import StorePlace


class KeptExecutions:
    """The results in a store, with the sizes of their outputs.

    `store` and `renamed` are as in `LastResults`.
    """

    def __init__(self, store: StorePlace | None, renamed: Mapping[str, str]) -> None:
        self._store = store
        self._renamed = renamed

    def of(self, name: str) -> list[EndedExecution]:
        """Return the results of a request, the newest first. Raises StoreError."""
        return next((found for _, found in self.of_each([name])), [])

    def of_each(self, names: Iterable[str]) -> Iterator[tuple[str, list[EndedExecution]]]:
        """Yield requests with their results, the newest first. Raises StoreError."""
        if self._store is None:
            return
        with closing(read_store(self._store)) as reader:
            for name in names:
                rows = reader.results_of(self._renamed.get(name, name))
                yield (
                    name,
                    [
                        EndedExecution(
                            row.execution,
                            row.status,
                            row.ended / 1e6,
                            self._sizes.get(row.execution),
                        )
                        for row in rows
                    ],
                )

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        assert self._store is not None
        if self._store.url is not None:
            with closing(read_store(self._store)) as reader:
                return reader.output_sizes()
        found = kept_outputs(outputs_folder(self._store.folder)).found
        return {execution: output.size for execution, output in found.items()}
