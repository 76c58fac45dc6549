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
_FORM = (
    "v", "event", "runner", "host", "generation", "sequence", "requested_by", "requested_via",
    "signal", "output_truncated", "request_file", "request_sha256", "git_commit",
)  # fmt: skip
_OUTPUT = "output_file"
_APART = frozenset((*KIND, *COLUMNS))
_OWN_ID = "\0"  # stands for the execution's id in the path of its output
_USUAL = len((*COLUMNS, *KIND, *_FORM, _OUTPUT))
TEXTS = ("time", "execution", "request", "status")
"""The fields that are texts in every record of an execution."""
_columns_of, _kind_of, _form_of = itemgetter(*COLUMNS), itemgetter(*KIND), itemgetter(*_FORM)


def split(record: Record) -> tuple[bytes, tuple[Any, ...]]:
    """Return a key of a record's kind and form, and its columns.

    Records with equal keys have the same kind and form; `kind_of` and `form_of` return them.
    """
    try:
        parts = (*_kind_of(record), record["group"] is not None, _form_key(record))
        # Version 2 of marshal's format has no references: equal values have equal bytes.
        return marshal.dumps(parts, 2), _columns_of(record)
    except KeyError:  # a record of another version
        return split(dict.fromkeys(_APART) | record)


def _form_key(record: Record) -> Any:
    if len(record) == _USUAL:
        return (*_form_of(record), _path_of_any(record))
    form = {name: value for name, value in record.items() if name not in _APART}
    return form | {_OUTPUT: _path_of_any(record)}


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
        found[_OUTPUT] = path.replace(_OWN_ID, str(own["execution"]))
    return found


def _path_of_any(record: Record) -> object:
    path = record.get(_OUTPUT)
    return path.replace(str(record["execution"]), _OWN_ID) if isinstance(path, str) else path


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
text_of: Callable[[object], str] = _ENCODER.encode
"""Return a record, or a part of one, as JSON."""
