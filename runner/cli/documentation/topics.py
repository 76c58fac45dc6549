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
    heading: str | None
    summary: str


_TABLE: dict[str, tuple[str, str | None, str]] = {
    "overview": ("README.md", None, "What Runner is, and the first steps"),
    "requests": (_REQUESTS, None, "How to write requests, with every key"),
    "process": (_REQUESTS, "Process", "What to run, and how"),
    "groups": (_REQUESTS, "Groups", "Several steps in order"),
    "failures": (_REQUESTS, "Failures and retries", "What happens after a failure"),
    "secrets": (_REQUESTS, "Secrets", "What Runner masks"),
    "limits": (_REQUESTS, "Limits", "Memory, processors, files"),
    "retention": (_REQUESTS, "Retention", "How long outputs are kept"),
    "defaults": (
        _REQUESTS,
        "Settings that requests share",
        "Settings that requests share: _defaults.yaml",
    ),
    "schedules": (_REQUESTS, "Timing", "When to run"),
    "cron": (_REQUESTS, "Cron, compared with Debian's", "Cron expressions, compared with Debian's"),
    "daylight-saving": (_REQUESTS, "When the clocks change", "What fires when the clocks change"),
    "cookbook": (_REQUESTS, "Cookbook", "How do I …? Examples to copy"),
    "log": (_RECORDS, "The monitor log", "Every field of a monitor record"),
    "settings": (_RECORDS, "Settings", "The keys of runner.yaml"),
    "operating": (_OPERATING, None, "How to run Runner, all sections"),
    "installing": (_OPERATING, "Installing", "Ways to install Runner, and its extras"),
    "commands": (_OPERATING, "Commands", "Commands, exit codes, completion"),
    "places": (_OPERATING, "Where things are", "Folders, options and variables"),
    "life-cycle": (_OPERATING, "Life cycle", "The statuses of a request"),
    "misfire": (_OPERATING, "Missed fires", "What happens to missed fires"),
    "clocks": (_OPERATING, "When the clock was wrong", "What happens when the clock was wrong"),
    "overlap": (_OPERATING, "Overlap", "What happens while a process still runs"),
    "misbehaving": (_OPERATING, "Programs that misbehave", "What happens when programs misbehave"),
    "stopping": (
        _OPERATING,
        "Stopping and recovery",
        "Signals, kill -9, a damaged store, hung disks",
    ),
    "page": (_OPERATING, "The page", "The Process Monitor in a browser"),
    "alerts": (_OPERATING, "Alerts and messages", "Who hears of failures, and how"),
    "api": (_OPERATING, "API", "What programs may ask the page"),
    "metrics": (_OPERATING, "Metrics", "What Prometheus can scrape"),
    "security": (_OPERATING, "Security", "Whom Runner trusts"),
    "git": (_OPERATING, "Deploying from git", "Deploying requests from git"),
    "postgresql": (_OPERATING, "A store in PostgreSQL", "The store of several machines"),
    "fleet": (_OPERATING, "A fleet", "Several machines: leader, standbys, workers"),
    "systemd": (_OPERATING, "systemd", "Running as a service"),
    "containers": (_OPERATING, "Containers", "Running in a container"),
    "import": (_IMPORTING, None, "Coming from another scheduler"),
    "openbravo": (_IMPORTING, "Coming from Openbravo", "Coming from Openbravo"),
    "contributing": ("tests/README.md", None, "The code, the tests, the measurements"),
    "changelog": ("CHANGELOG.md", None, "What changed from version to version"),
}
TOPICS = {
    name: Topic(document=document, heading=heading, summary=summary)
    for name, (document, heading, summary) in _TABLE.items()
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
