"""Checks imported requests on this machine: with /bin/sh and with Runner's own reader.
Runs a shell and touches files.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from runner.errors import Problem
from runner.importing.imported import Import, Imported, Remark, Severity
from runner.importing.writing import request_text
from runner.requests.catalog.catalog_reader import CatalogReader

_SHELL_PATIENCE_S = 10.0


def runnable(imported: Import, source: str, zone: str) -> Import:
    """Return an import without the requests that cannot run here, with remarks about them.

    `zone` is the IANA key for times without an offset.
    """
    return _without_invalid(_with_parsed_shell(imported), source, zone)


def _with_parsed_shell(imported: Import) -> Import:
    """Unschedule requests whose command /bin/sh cannot parse: it was written for
    another shell, or is broken.
    """
    requests = tuple(
        each if error is None else each.changed(f"/bin/sh cannot parse its command: {error}")
        for each in imported.requests
        for error in [_shell_error(each)]  # one run of the shell per request
    )
    return replace(imported, requests=requests)


def _shell_error(request: Imported) -> str | None:
    """Return the error of /bin/sh for a request's shell line, or None if it parses."""
    line = ((request.data or {}).get("process") or {}).get("shell")
    if not isinstance(line, str) or "\0" in line:
        return None
    try:
        checked = subprocess.run(
            ["/bin/sh", "-n", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SHELL_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if checked.returncode == 0:
        return None
    said = checked.stderr.decode(errors="replace").strip().splitlines()
    return said[0] if said else f"exit code {checked.returncode}"


def _without_invalid(imported: Import, source: str, zone: str) -> Import:
    """Leave out, with a remark, each request that the catalog would reject. No invalid
    file is ever written.
    """
    with tempfile.TemporaryDirectory() as name:
        for each in imported.requests:
            if each.data:
                (Path(name) / f"{each.name}.yaml").write_text(
                    request_text(each, source), encoding="utf-8"
                )
        catalog = CatalogReader(Path(name), default_zone=zone).read()
    problems: dict[str, list[Problem]] = {}
    for problem in catalog.problems:
        problems.setdefault(Path(problem.file).stem, []).append(problem)
    requests = (
        _refused(each, problems[each.name]) if each.name in problems else each
        for each in imported.requests
    )
    return replace(imported, requests=tuple(requests))


def _refused(request: Imported, problems: Iterable[Problem]) -> Imported:
    remarks = (
        Remark(
            line=request.line,
            severity=Severity.CHANGED,
            message=f"it is not written, because it would be invalid here: {problem.message}",
            suggestion=problem.suggestion,
            request=request.name,
        )
        for problem in problems
    )
    return replace(request, data=None, remarks=(*request.remarks, *remarks))
