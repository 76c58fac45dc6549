"""Makes claims, with their ids and output files. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.execution.output import member_output_path, output_path
from runner.lifecycle import Channel
from runner.planning.moved_fires import moved_words
from runner.requests.model import Process, ProcessRequest
from runner.service.executions.execution import Ask, Claim, Execution
from runner.values import new_id


def new_claim(
    request: ProcessRequest,
    process: Process,
    scheduled_for: datetime,
    ask: Ask,
    *,
    git: str | None,
    outputs: str,
) -> Claim:
    """Return the claim of one run of a request; `process` is what the request runs."""
    identity, on_success, on_failure = new_id(), request.on_success, request.on_failure
    if ask.channel is Channel.DIRECT:
        # The person who asked for this run sees how it ends, and can ask again.
        process, on_success, on_failure = replace(process, retry=None), None, None
    is_of_rule = ask.channel in (Channel.PROCESS_SCHEDULER, Channel.BACKFILL)
    return Claim(
        id=identity,
        output_file=output_path(outputs, identity),
        request=request.name,
        process=process,
        channel=ask.channel,
        scheduled_for=scheduled_for,
        generation=ask.generation,
        source=request.source,
        context=request.context,
        labels=request.labels,
        owner=request.owner,
        on_success=on_success,
        on_failure=on_failure,
        params=ask.params,
        requested_by=ask.by,
        git_commit=git,
        moved=moved_words(request, scheduled_for) if is_of_rule else None,
    )


def changed_claim(
    claim: Claim, changes: dict[str, Any], *, group: Execution | None, outputs: str
) -> Claim:
    """Return a copy of a claim with `changes`, a new id and a new output file.

    `group` is the group in progress that the copy belongs to; None without one.
    """
    again = replace(claim, id=new_id(), **changes)
    if group is None:
        return replace(again, output_file=output_path(outputs, again.id))
    place = member_output_path(
        Path(group.claim.output_file), sequence=again.sequence, attempt=again.attempt
    )
    return replace(again, output_file=str(place))
