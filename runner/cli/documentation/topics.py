"""The topics of `runner help`: where each one stands in the documentation. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REQUESTS = "jobs.d/README.md"
_OPERATING = "runner/README.md"
_RECORDS = "schemas/README.md"
_IMPORTING = "runner/importing/README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A part of the documentation: the section with that heading, or without a heading the
    whole document.

    `document` is a path in the repository.
    """

    document: str
    heading: str | None = None
    summary: str


TOPICS = {
    "overview": Topic(document="README.md", summary="What Runner is, and the first steps"),
    "requests": Topic(document=_REQUESTS, summary="How to write requests, with every key"),
    "process": Topic(document=_REQUESTS, heading="Process", summary="What to run, and how"),
    "groups": Topic(document=_REQUESTS, heading="Groups", summary="Several steps in order"),
    "failures": Topic(
        document=_REQUESTS, heading="Failures and retries", summary="What happens after a failure"
    ),
    "secrets": Topic(document=_REQUESTS, heading="Secrets", summary="What Runner masks"),
    "limits": Topic(document=_REQUESTS, heading="Limits", summary="Memory, processors, files"),
    "defaults": Topic(
        document=_REQUESTS,
        heading="Settings that requests share",
        summary="Settings that requests share: _defaults.yaml",
    ),
    "schedules": Topic(document=_REQUESTS, heading="Timing", summary="When to run"),
    "cron": Topic(
        document=_REQUESTS,
        heading="Cron, compared with Debian's",
        summary="Cron expressions, compared with Debian's",
    ),
    "daylight-saving": Topic(
        document=_REQUESTS,
        heading="When the clocks change",
        summary="What fires when the clocks change",
    ),
    "cookbook": Topic(
        document=_REQUESTS, heading="Cookbook", summary="How do I …? Examples to copy"
    ),
    "log": Topic(
        document=_RECORDS, heading="The monitor log", summary="Every field of a monitor record"
    ),
    "settings": Topic(document=_RECORDS, heading="Settings", summary="The keys of runner.yaml"),
    "operating": Topic(document=_OPERATING, summary="How to run Runner, all sections"),
    "commands": Topic(
        document=_OPERATING, heading="Commands", summary="Commands, exit codes, completion"
    ),
    "places": Topic(
        document=_OPERATING, heading="Where things are", summary="Folders, options and variables"
    ),
    "life-cycle": Topic(
        document=_OPERATING, heading="Life cycle", summary="The statuses of a request"
    ),
    "misfire": Topic(
        document=_OPERATING, heading="Missed fires", summary="What happens to missed fires"
    ),
    "clocks": Topic(
        document=_OPERATING,
        heading="When the clock was wrong",
        summary="What happens when the clock was wrong",
    ),
    "overlap": Topic(
        document=_OPERATING, heading="Overlap", summary="What happens while a process still runs"
    ),
    "misbehaving": Topic(
        document=_OPERATING,
        heading="Programs that misbehave",
        summary="What happens when programs misbehave",
    ),
    "stopping": Topic(
        document=_OPERATING,
        heading="Stopping and recovery",
        summary="Signals, kill -9, a damaged store, hung disks",
    ),
    "security": Topic(document=_OPERATING, heading="Security", summary="Whom Runner trusts"),
    "git": Topic(
        document=_OPERATING, heading="Deploying from git", summary="Deploying requests from git"
    ),
    "systemd": Topic(document=_OPERATING, heading="systemd", summary="Running as a service"),
    "containers": Topic(
        document=_OPERATING, heading="Containers", summary="Running in a container"
    ),
    "import": Topic(document=_IMPORTING, summary="Coming from another scheduler"),
    "openbravo": Topic(
        document=_IMPORTING, heading="Coming from Openbravo", summary="Coming from Openbravo"
    ),
    "contributing": Topic(
        document="tests/README.md", summary="The code, the tests, the measurements"
    ),
    "changelog": Topic(document="CHANGELOG.md", summary="What changed from version to version"),
}


def section(document: str, heading: str | None) -> str:
    """Return a document's section with its heading and its sub-sections; without a heading
    the whole document.
    """
    if heading is None:
        return document
    start = re.search(rf"^(#+) {re.escape(heading)}$", document, re.MULTILINE)
    assert start is not None, heading
    end = re.compile(rf"^#{{1,{len(start[1])}}} ")
    kept: list[str] = []
    in_code = False
    for line in document[start.start() :].splitlines(keepends=True):
        in_code ^= line.startswith("```")
        if kept and not in_code and end.match(line):
            break
        kept.append(line)
    return "".join(kept)
