"""Import the YAML of yacron and cronstable. Pure.

cronstable, formerly yacron2, reads yacron's keys and more.
"""

from __future__ import annotations

from typing import Any

from runner.importing.imported import Draft, Import, ImportSettings, Remark, finished
from runner.importing.importers.yacron_jobs import Job
from runner.importing.yaml_source import Keys, documents_of

_TOP_LEVEL = {
    "web": "instead of a web interface use `runner status`, `runner monitor` and `runner exec`",
    "logging": "options of `runner start` configure the runner's own log",
    "cluster": "there is no cluster: one runner owns a store",
    "state": "the state folder is the runner's own (--state)",
    "mcp": "Runner has no such interface",
}


def from_yacron(text: str, settings: ImportSettings, *, name: str) -> Import:
    """Read a configuration. Raises RunnerError if the text is not YAML."""
    drafts: list[Draft] = []
    remarks: list[Remark] = []
    lines = tuple(text.split("\n"))
    for document in documents_of(text, name):
        file = Draft(line=document.line, excerpt="", wanted_name="")
        top = Keys(data=_mapping(document.data), draft=file, document=document, lines=lines)
        defaults = top.mapping("defaults")
        for job in top.mappings("jobs"):
            drafts.append(Job(job, defaults, settings, has_includes="include" in top.data).draft)
        if document.data is not None and not isinstance(document.data, dict):
            file.changed("this is not a yacron configuration, which is a mapping with `jobs`")
        _report_file(top, file)
        remarks += file.remarks
    return finished(drafts, remarks, settings)


def _mapping(data: object) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _report_file(top: Keys, file: Draft) -> None:
    for included in top.items("include"):
        file.changed(
            f"{included} is included, but was not read", "import it too", line=top.line("include")
        )
    for dag in top.items("dags"):
        file.changed(
            f"the DAG {_mapping(dag).get('name')} is not carried over",
            "consider a `group`",
            line=top.line("dags"),
        )
    for key, message in _TOP_LEVEL.items():
        if top.raw(key) is not None:
            file.differs(f"`{key}` has no counterpart: {message}", line=top.line(key))
    for key in top.data.keys() - top.taken:
        file.changed(f"`{key}` is unknown", line=top.line(key))
    if top.data.get("jobs"):
        message = (
            "yacron runs every command in the folder that it was started in;"
            " Runner runs it in the folder of the request's file"
        )
        file.differs(message, "add a `directory` if a command uses relative paths")
