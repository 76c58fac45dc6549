"""The JUnit XML format of Jenkins, GitLab and others: one test case per file, which
fails if the file has problems. Cautions are its output.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from runner.cli.output.reports import below_here
from runner.values import neutral

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.cli.output.reports import Checked
    from runner.errors import Problem


def lines(checked: Checked) -> Iterator[str]:
    """Yield the lines of the document."""
    by_file = {
        file: list(problems)
        for file, problems in groupby(checked.problems, key=lambda each: each.file)
    }
    counts = {"tests": str(len(checked.files)), "failures": str(len(by_file)), "errors": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "runner validate", **counts})
    for file in checked.files:
        attributes = {"name": neutral(below_here(file)), "classname": "runner.validate"}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if file in by_file:
            _fail(case, by_file[file])
        if cautions := [neutral(str(each)) for each in checked.cautions if each.file == file]:
            ElementTree.SubElement(case, "system-out").text = "\n".join(cautions)
    ElementTree.indent(suites)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield from ElementTree.tostring(suites, encoding="unicode").split("\n")


def _fail(case: ElementTree.Element, problems: Sequence[Problem]) -> None:
    # One failure for all problems: most readers show only a test case's first failure.
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    message = neutral(f"{problems[0].message}{more}")
    failure = ElementTree.SubElement(case, "failure", {"type": "problem", "message": message})
    failure.text = "\n".join(neutral(str(problem)) for problem in problems)
