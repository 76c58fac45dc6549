"""The executions in progress as records, and why a request has none."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from runner.access.places import Places
from runner.system.regular_files import is_folder

Record = dict[str, Any]


def processing(places: Places) -> list[Record]:
    """Return a record for each running execution, in the monitor log's form; newest
    last.

    These records have no `id`, because they are not lines of the log. Raises StoreError
    if the store cannot be read.
    """
    from runner.access.ownership import is_own_log
    from runner.store.opening import owner_of, read_store

    with closing(read_store(places.store)) as reader:
        meta, rows = reader.meta(), reader.executions()
    if not rows or not is_own_log(places, meta):
        return []
    import socket

    from runner.execution.output import outputs_folder
    from runner.monitor.records import Recorder, decode
    from runner.service.executions.execution import execution_of
    from runner.service.executions.execution_records import started_record

    message = (
        None
        if owner_of(places.store)
        else "its runner ended; the next start records the execution's end"
    )
    recorder = Recorder(meta.get("runner", ""), socket.gethostname())
    records = []
    outputs = outputs_folder(places.state)
    # In a burst hundreds wait for their start: their bodies need not be parsed.
    running = (execution_of(row, outputs) for row in rows if row.started is not None)
    is_local = places.store.url is None
    for execution in sorted(running, key=lambda each: each.id):
        assert execution.started is not None
        started = started_record(execution, message=message, is_local=is_local)
        line = recorder.line(started, execution.started)
        record = decode(line) or {}
        records.append({name: value for name, value in record.items() if name != "id"})
    return records


def reason_for_none(name: str, places: Places) -> str | None:
    """Return why a request has no records: its file is invalid, or the name is misspelt."""
    if not is_folder(places.jobs):
        return None
    from runner.requests.catalog.cache_file import CacheFile
    from runner.requests.catalog.catalog_reader import CatalogReader
    from runner.requests.catalog.unknown_names import reason_for

    cache = CacheFile(places.state) if places.has_state else None
    reader = CatalogReader(places.jobs, default_zone=places.zone, cache=cache, builds_late=True)
    reader.recall()
    catalog = reader.read()
    return (
        None if name in catalog.requests else reason_for(name, catalog.requests, catalog.rejections)
    )


def require_known_log(places: Places) -> None:
    """Raise StoreError if the monitor log belongs to another jobs folder."""
    if places.has_store:  # without a store, save the import of the modules that read it
        from runner.access.ownership import require_own_log

        require_own_log(places)
