"""Write an imported request as a readable YAML file with its remarks as comments. Pure."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import yaml

from runner.importing.imported import Imported, Remark, Severity

_SCHEMA = "../schemas/process-request.schema.json"
_WIDTH = 118  # of comments
_UNFOLDED = 1 << 16  # columns: PyYAML must not fold long text
_TEXT = "tag:yaml.org,2002:str"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]+")
_EXPRESSION = re.compile(r"\*|[0-9].* ")
"""Cron expressions and times. Some need quotes; quoting all of them reads more easily."""
_NUMBERLIKE = re.compile(
    r"[-+]?(0[xob])?[0-9._:]+([eE][-+]?[0-9]+)?|[yYnN]|[-+]?\.(inf|nan)", re.IGNORECASE
)


def request_text(request: Imported, source: str, *, schema: str = _SCHEMA) -> str:
    """Write a request's file: schema location for editors, source, remarks, document."""
    origin = _comment(f"From {source}, line {request.line}: {request.excerpt}")
    remarks = "".join(map(_remark_comment, request.remarks))
    document = document_text(request.data or {})
    return f"# yaml-language-server: $schema={schema}\n{origin}{remarks}{document}"


def document_text(data: dict[str, Any]) -> str:
    """Write a document that YAML 1.1 and 1.2 parsers read as the same data.

    >>> print(document_text({"command": ["echo", "no", "10:30"], "stdin": "a\\nb\\n"}), end="")
    command: [echo, "no", "10:30"]
    stdin: |
      a
      b
    """
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_UNFOLDED,
        default_flow_style=False,
    )


class _Dumper(yaml.SafeDumper):
    """Quotes text that looks like a number or a boolean.

    It writes a list of plain values on one line, and text with line breaks as a block.
    """

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is the library's
        """Return True always: Runner's loader refuses anchors and aliases."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Choose the style of a text: a block, quotes if a parser may misread it, or plain."""
    is_printable = not _UNPRINTABLE.search(text.replace("\n", ""))
    if "\n" in text and is_printable:
        return dumper.represent_scalar(_TEXT, text, style="|")
    is_other = dumper.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT  # type: ignore[no-untyped-call]
    is_quoted = (
        not is_printable or is_other or _NUMBERLIKE.fullmatch(text) or _EXPRESSION.match(text)
    )
    return dumper.represent_scalar(_TEXT, text, style='"' if is_quoted else None)


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    """Write a list of plain values on one line, another list with one item per line."""
    is_plain = all(not isinstance(item, dict | list) and "\n" not in str(item) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=is_plain)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)


def _remark_comment(remark: Remark) -> str:
    word = "" if remark.severity is Severity.NOTE else f"{remark.severity.value.upper()}: "
    suggestion = f" ({remark.suggestion})" if remark.suggestion else ""
    return _comment(f"{word}{remark.message}{suggestion}", "#   ")


def _comment(text: str, indent: str = "# ") -> str:
    plain = _UNPRINTABLE.sub(" ", text)
    lines = textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)
