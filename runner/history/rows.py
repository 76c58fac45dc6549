"""A finished record as a row of the history index, and back. Pure.

Most fields of a record repeat: all records of a request have the same owner, labels and
file. So a row refers to its kind (what queries select by) and to its form (every other
field that repeats), and has columns only for what differs. The index is then a third of
the log's size.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

Record = dict[str, object]

COLUMNS = (
    "id", "time", "execution", "scheduled_for", "started", "ended", "duration_s", "lateness_s",
    "attempt", "group", "follows", "exit_code", "pid", "cpu_s", "max_rss_bytes", "output_bytes",
    "output_tail", "message",
)  # fmt: skip
"""The fields that differ from record to record, in the order of a row's columns."""
KIND = ("request", "process", "channel", "status", "reason", "owner", "labels", "context")
"""The fields by which queries select executions, besides their time and their words."""
FORM = (
    "v", "event", "runner", "host", "node", "queue", "generation", "sequence", "requested_by",
    "requested_via", "signal", "output_truncated", "request_file", "request_sha256", "git_commit",
)  # fmt: skip
"""The other fields that repeat, besides the path of the output."""
_OUTPUT = "output_file"
_APART = frozenset((*KIND, *COLUMNS))
_OWN_ID = "\0"  # stands for the execution's id in the path of its output
_OWN_PLACE = "\1"  # stands for the usual end of that path, which has the id in two places
_USUAL = len((*COLUMNS, *KIND, *FORM, _OUTPUT))
TEXTS = ("time", "execution", "request", "status")
"""The fields that are texts in every record of an execution."""
_columns_of, _repeating_of = itemgetter(*COLUMNS), itemgetter(*KIND, *FORM)


def split(record: Record) -> tuple[bytes, tuple[Any, ...]]:
    """Return a key of a record's kind and form, and its columns.

    Records with equal keys have the same kind and form; `kind_of` and `form_of` return them.
    """
    try:
        repeating = _repeating_of(record) if len(record) == _USUAL else _repeating_in(record)
        columns = _columns_of(record)
    except KeyError:
        repeating = _repeating_in(record)
        columns = _columns_of(dict.fromkeys(COLUMNS) | record)
    parts = (repeating, record.get("group") is not None, _path_of_any(record))
    # Version 2 of marshal's format has no references: equal values have equal bytes.
    return marshal.dumps(parts, 2), columns


def _repeating_in(record: Record) -> tuple[Any, ...]:
    """Return the same of a record of another version: it lacks fields, or has others, too."""
    left_out = {*COLUMNS, _OUTPUT}
    return (*record, *(value for name, value in record.items() if name not in left_out))


def kind_of(record: Record) -> str:
    """Return the JSON text of a record's kind: `group` is only true for members, else null."""
    kind = {name: record.get(name) for name in KIND}
    return text_of(kind | {"group": True if record.get("group") is not None else None})


def form_of(record: Record) -> str:
    """Return the JSON text of a record's form: the record with null for all that differs."""
    form = {name: None if name in _APART else value for name, value in record.items()}
    if _OUTPUT in form:
        form[_OUTPUT] = _path_of_any(record)
    return text_of(form)


def is_storable(record: Record) -> bool:
    """Return whether an index can hold a record; it cannot hold what only looks like one."""
    try:
        text_of(record).encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return all(
        value is None or isinstance(value, str | float) or (isinstance(value, int) and _fits(value))
        for value in map(record.get, COLUMNS)
    )


def joined(
    kind: Mapping[str, object], form: Mapping[str, object], columns: Sequence[object]
) -> Record:
    """Return the record that was split, its fields in their order."""
    found = dict(form)
    own = dict(zip(COLUMNS, columns, strict=True))
    found |= {name: own[name] if name in own else kind[name] for name in form if name in _APART}
    if isinstance(path := found.get(_OUTPUT), str):
        execution = str(own["execution"])
        found[_OUTPUT] = path.replace(_OWN_PLACE, _place(execution)).replace(_OWN_ID, execution)
    return found


def _path_of_any(record: Record) -> Any:
    path, execution = record.get(_OUTPUT), str(record["execution"])
    if not isinstance(path, str):
        return path
    if len(execution) > 1 and path.endswith(place := _place(execution)):
        return path[: -len(place)] + _OWN_PLACE
    return path.replace(execution, _OWN_ID)


def _place(execution: str) -> str:
    """Return how the path of an execution's output ends, unless it is an odd one."""
    return f"/{execution[-1:]}/{execution[-2:-1]}/{execution}.out"


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
text_of: Callable[[object], str] = _ENCODER.encode
"""Return a record, or a part of one, as JSON."""
