"""JUnit XML, as Jenkins, GitLab and others read it: one test case a file, which fails if the file has problems."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from runner.cli.reports import below_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.cli.reports import Checked
    from runner.errors import Problem

_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""


def lines(checked: Checked) -> Iterator[str]:
    """Yield the document."""
    by_file = {file: list(problems) for file, problems in groupby(checked.problems, key=lambda each: each.file)}
    counts = {"tests": str(len(checked.files)), "failures": str(len(by_file)), "errors": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "runner validate", **counts})
    for file in checked.files:
        attributes = {"name": _possible(below_here(file)), "classname": "runner.validate"}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if file in by_file:
            _fail(case, by_file[file])
    ElementTree.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield ElementTree.tostring(suites, encoding="unicode")


def _fail(case: ElementTree.Element, problems: Sequence[Problem]) -> None:
    # One for all: where a case has several failures, most readers show only the first.
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    message = _possible(f"{problems[0].message}{more}")
    failure = ElementTree.SubElement(case, "failure", {"type": "problem", "message": message})
    failure.text = _possible("\n".join(map(str, problems)))


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
