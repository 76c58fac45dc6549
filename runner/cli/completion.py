"""Shell completion of names, from the store and the jobs folder. Any error means no suggestions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

import click
from click.shell_completion import CompletionItem

from runner.access.loading import load
from runner.access.places import Places, places
from runner.errors import RunnerError
from runner.monitor.names import path_of, shown_name
from runner.requests.model import Group, ProcessRequest
from runner.store.opening import read_store
from runner.store.rows import ExecutionRow

_MANY = 2000  # requests; with more, reading their files would delay the shell noticeably
_PLAIN = "=_-+%,./"
"""Besides letters and digits, the characters that a word of a shell may contain unquoted."""


def request_names(
    context: click.Context, incomplete: str, *, has_members: bool
) -> list[CompletionItem]:
    """Return the requests whose names begin with `incomplete`, with their descriptions,
    which some shells show. With `has_members`, members of groups are included.
    """
    try:
        found = _requests(_places(context))
    except (RunnerError, OSError):
        return []
    items = [(name, description) for name, (description, _) in found.items()]
    if has_members:
        items += [
            (member, f"a member of {name}")
            for name, (_, members) in found.items()
            for member in members
        ]
    return _beginning(incomplete, sorted(items))


def labels(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the labels of requests, as KEY=VALUE, that begin with `incomplete`."""
    return _of_requests(
        context, incomplete, lambda each: [f"{key}={text}" for key, text in each.labels.items()]
    )


def owners(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the owners of requests that begin with `incomplete`."""
    return _of_requests(context, incomplete, lambda each: [each.owner] if each.owner else [])


def running_names(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the requests and members that run or wait. Execution ids appear once the
    user has typed a first character.
    """
    try:
        with closing(read_store(_places(context).store)) as reader:
            rows = reader.executions()
    except (RunnerError, OSError):
        return []
    names = {_name(row): "" for row in rows}
    ids = {row.id: _name(row) for row in rows if incomplete}
    return _beginning(incomplete, sorted((names | ids).items()))


def worker_names(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the workers of a fleet, with their queues."""
    try:
        with closing(read_store(_places(context).store)) as reader:
            fleet = reader.fleet()
    except (RunnerError, OSError):
        return []
    workers = () if fleet is None else fleet.workers
    names = ((each.name, ", ".join(each.queues)) for each in workers if _is_plain(each.name))
    return _beginning(incomplete, sorted(names))


def _of_requests(
    context: click.Context, incomplete: str, texts: Callable[[ProcessRequest], list[str]]
) -> list[CompletionItem]:
    """Return texts of all requests. A text that a shell would split or expand is left out:
    the shell inserts completions unquoted.
    """
    try:
        requests = load(_places(context)).in_force.requests.values()
    except (RunnerError, OSError):
        return []
    found = {text for request in requests for text in texts(request)}
    return _beginning(incomplete, ((text, "") for text in sorted(found) if _is_plain(text)))


def _is_plain(text: str) -> bool:
    return all(sign.isalnum() or sign in _PLAIN for sign in text)


def _places(context: click.Context) -> Places:
    given = context.params
    return places(
        given["jobs"],
        given["state"],
        given["monitor_log"],
        given["timezone"],
        store_file=given["store_file"],
        is_guarded=False,
    )


def _requests(where: Places) -> dict[str, tuple[str, list[str]]]:
    """Return, per request name, its description and its members. Both are empty if the
    store holds more than `_MANY` requests.
    """
    with closing(read_store(where.store)) as reader:
        names = [row.name for row in reader.snapshot().requests if row.definition is not None]
    if len(names) > _MANY:
        return {name: ("", []) for name in names}
    requests = load(where).in_force.requests
    return {
        name: (request.description or "", _members(request)) for name, request in requests.items()
    }


def _members(request: ProcessRequest) -> list[str]:
    action = request.process.action
    return (
        [f"{request.name}/{_last(each.name)}" for each in action.members]
        if isinstance(action, Group)
        else []
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _name(row: ExecutionRow) -> str:
    from runner.service.executions.execution import execution_of

    execution = execution_of(row)
    return path_of(
        shown_name(row.request, execution.process.name, is_member=row.group_id is not None)
    )


def _beginning(incomplete: str, items: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=" ".join(words.split()))
        for name, words in items
        if name.startswith(incomplete)
    ]
