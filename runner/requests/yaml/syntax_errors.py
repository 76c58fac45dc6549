"""Why a file cannot be read as YAML, in words for its author. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.requests.findings import Spot, plain
from runner.requests.yaml.unreadable import (
    DEEPEST,
    UnreadableError,
    end_of,
    line_of,
    lines_of,
    too_deep,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import yaml

    from runner.requests.findings import Mark

# Patterns, not compiled at import: compiling takes milliseconds and is rarely needed.
_CONTROL = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_BEGINS_SOMETHING = {
    "@": "`@` is reserved in YAML and cannot begin a text",
    "`": "a backtick is reserved in YAML and cannot begin a text",
    "%": "`%` begins a directive in YAML, not a text",
}
_SIGILS = {
    "while scanning an alias": "`*` begins an alias in YAML",
    "while scanning an anchor": "`&` begins an anchor",
}


def explained(error: yaml.YAMLError, text: str) -> UnreadableError:
    """Return the error with its position, and a fix where one is known."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return _control_character(error, text)
    if "nesting depth" in str(error):  # libyaml's own limit: 1,000 levels in PyYAML 6.0.4
        return too_deep(spot=end_of(text[: _first_too_deep(text)]))
    fault = _Fault(
        text=text,
        context=str(error.context or ""),  # type: ignore[attr-defined]
        problem=str(error.problem),  # type: ignore[attr-defined]
        at=mark,
        opened=getattr(error, "context_mark", None) or mark,
    )
    return next(filter(None, (explain(fault) for explain in _EXPLANATIONS)), None) or _unexplained(
        fault
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """The library's error: its words, its position, and where the construct was `opened`."""

    text: str
    context: str
    problem: str
    at: Mark
    opened: Mark

    @property
    def line(self) -> str:
        """The line of the error."""
        return line_of(self.text, self.at.line)

    @property
    def character(self) -> str:
        """The character at the error, empty at the end of the line."""
        return self.line[self.at.column : self.at.column + 1]

    def above(self, number: int) -> tuple[int, str]:
        """Return the nearest line above `number` that is neither blank nor a comment.

        Returns its number, from 0, and its text; -1 and "" if there is none.
        """
        lines = lines_of(self.text)[:number]
        found = (
            each
            for each in range(len(lines) - 1, -1, -1)
            if re.match(r"[ \t]*[^ \t#]", lines[each])
        )
        above = next(found, -1)
        return above, lines[above] if above >= 0 else ""


def _sigil(fault: _Fault) -> UnreadableError | None:
    """Explain a value that begins with `*` or `&`."""
    if fault.context not in _SIGILS:
        return None
    value = line_of(fault.text, fault.opened.line)[fault.opened.column :].strip()
    return UnreadableError(_SIGILS[fault.context], suggestion=_quoted(value), at=fault.opened)


def _reserved(fault: _Fault) -> UnreadableError | None:
    """Explain a value that begins with a reserved character."""
    if "cannot start any token" not in fault.problem or fault.character not in _BEGINS_SOMETHING:
        return None
    value = fault.line[fault.at.column :].strip()
    return UnreadableError(
        _BEGINS_SOMETHING[fault.character], suggestion=_quoted(value), at=fault.at
    )


def _tab(fault: _Fault) -> UnreadableError | None:
    """Explain a tab in the indentation."""
    begins_with_tab = "cannot start any token" in fault.problem and fault.character == "\t"
    if not begins_with_tab and "tab character that violates indentation" not in fault.problem:
        return None
    return UnreadableError("a tab cannot indent", suggestion="indent with spaces", at=fault.at)


def _colon(fault: _Fault) -> UnreadableError | None:
    """Explain a misplaced `:`.

    Either it is the second on its line, or the line belongs to the text above.
    """
    if not fault.problem.startswith("mapping values are not allowed"):
        return None
    line, before = fault.line, fault.line[: fault.at.column]
    number, above = fault.above(fault.at.line)
    depth, depth_above = _depth(line), _depth(above)
    if ": " in before or not above:
        value = line.partition(": ")[2].strip() if ": " in before else ""
        message, suggestion = "a second `:` on one line cannot begin a mapping", _quoted(value)
        return UnreadableError(message, suggestion=suggestion, at=fault.at)
    if glued := re.fullmatch(r"([ \t]*(?:- )?([\w.-]{1,60}):)([^\s/].*)", above):
        spot = Spot(line=number + 1, column=len(glued[1]) + 1)
        suggestion = f"write {plain(f'{glued[2]}: {glued[3]}')}"
        return UnreadableError("a space is missing after the `:`", suggestion=suggestion, spot=spot)
    if ":" not in above and depth > depth_above:
        return _without_colon(above, number)
    if ":" in above and depth > depth_above:
        message = f"this line is indented deeper than line {number + 1}, but belongs beside it"
        suggestion = f"indent it by {depth_above} spaces, as there"
        return UnreadableError(
            message, suggestion=suggestion, spot=Spot(line=fault.at.line + 1, column=depth + 1)
        )
    message = "a text of several lines cannot hold `: `"
    return UnreadableError(
        message, suggestion="begin it with `|` after its key, as in `shell: |`", at=fault.at
    )


def _bracket(fault: _Fault) -> UnreadableError | None:
    """Explain an unclosed bracket or a missing comma."""
    if "expected ',' or" not in fault.problem:
        return None
    message = (
        f"the bracket opened at line {fault.opened.line + 1} is not closed, or a comma is missing"
    )
    closing = "}" if "'}'" in fault.problem else "]"
    return _placed(fault, message, f"close it with `{closing}`, or put a comma before this")


def _quote(fault: _Fault) -> UnreadableError | None:
    """Explain an unclosed quote."""
    if "unexpected end of stream" not in fault.problem:
        return None
    mark = line_of(fault.text, fault.opened.line)[fault.opened.column : fault.opened.column + 1]
    message = f"the quote opened at line {fault.opened.line + 1} is not closed"
    return UnreadableError(message, suggestion=f"close it with `{plain(mark)}`", at=fault.opened)


def _escape(fault: _Fault) -> UnreadableError | None:
    """Explain an unknown escape in double quotes."""
    if "unknown escape character" not in fault.problem:
        return None
    pair = plain(fault.line[fault.at.column : fault.at.column + 2])
    suggestion = f"write `\\{pair}`, or quote the text with ' instead"
    return UnreadableError(
        f"`{pair}` is not an escape in double quotes", suggestion=suggestion, at=fault.at
    )


def _misplaced(fault: _Fault) -> UnreadableError | None:
    """Explain a line with unexpected indentation, or text after a closing quote."""
    if "did not find expected key" not in fault.problem:
        return None
    before = fault.line[: fault.at.column].strip()
    if before.endswith(("'", '"')):
        advice = (
            "double a quote inside: ''" if before.endswith("'") else 'write \\" for a quote inside'
        )
        message = "there is more text after the closing quote"
        return UnreadableError(
            message, suggestion=f"{advice}, or quote the whole text", at=fault.at
        )
    number, above = fault.above(fault.at.line)
    if before or number < 0:
        return None
    message = "this line is indented differently from its neighbours"
    suggestion = f"line {number + 1} is indented by {_depth(above)} spaces"
    return UnreadableError(message, suggestion=suggestion, at=fault.at)


def _no_colon(fault: _Fault) -> UnreadableError | None:
    """Explain a key without `:`, or block text without indentation."""
    if "could not find expected ':'" not in fault.problem:
        return None
    _, above = fault.above(fault.opened.line)
    if block := re.search(r"[:-] ([|>])[+-]?[1-9]?$", above.rstrip()):
        message = f"the text of `{block[1]}` should be indented deeper than its key"
        suggestion = f"indent it by {_depth(above) + 2} spaces"
        return UnreadableError(message, suggestion=suggestion, at=fault.opened)
    return _without_colon(line_of(fault.text, fault.opened.line), fault.opened.line)


_EXPLANATIONS: tuple[Callable[[_Fault], UnreadableError | None], ...] = (
    _sigil,
    _reserved,
    _tab,
    _colon,
    _bracket,
    _quote,
    _escape,
    _misplaced,
    _no_colon,
)


def _unexplained(fault: _Fault) -> UnreadableError:
    message = f"this is not valid YAML: {fault.problem} {fault.context}".strip()
    hint = (
        "a bracket that was opened is not closed"
        if "expected node content" in fault.problem
        else None
    )
    return _placed(fault, message, hint)


def _placed(fault: _Fault, message: str, suggestion: str | None) -> UnreadableError:
    # Without a final line break the library reports one line too many.
    """Return an error at the fault, moved to the end of the text if it is past it."""
    is_past_end = fault.at.index >= len(fault.text.rstrip())
    spot = end_of(fault.text.rstrip()) if is_past_end else None
    return UnreadableError(message, suggestion=suggestion, at=fault.at, spot=spot)


def _without_colon(line: str, number: int) -> UnreadableError:
    key, spot = plain(line.strip(), 40), Spot(line=number + 1, column=len(line.rstrip()) + 1)
    return UnreadableError(
        f"a `:` is missing after `{key}`", suggestion=f"write `{key}:`", spot=spot
    )


def _depth(line: str) -> int:
    """Return the width of a line's indentation."""
    return len(line) - len(line.lstrip(" \t"))


def _quoted(value: str) -> str:
    """Suggest quotes.

    The quoted text is shown only where the value's end is certain: at the line's end,
    or after a cron expression.
    """
    if cron := re.match(r"\*\S*(?:[ \t]+[^\s,}\]#\"]+){4,5}(?=\s*(?:[,}\]]|$))", value[:100]):
        value = cron[0]
    spelled = value.isprintable() and 0 < len(value) <= 80 and not re.search(r"[\]},#\"]", value)
    return f"quote it: {json.dumps(value, ensure_ascii=False)}" if spelled else "quote it"


def _control_character(error: yaml.YAMLError, text: str) -> UnreadableError:
    """Find the character that the library's reader refused.

    The library reports only a position in its own buffer.
    """
    found = re.search(_CONTROL, text)
    if found is None:
        return UnreadableError(f"this is not valid YAML: {str(error)[:200]}")
    message = f"the control character 0x{ord(found[0]):02x} is not allowed"
    return UnreadableError(message, suggestion="leave it out", spot=end_of(text[: found.start()]))


def _first_too_deep(text: str) -> int:
    """Return the index of the bracket that opens one level too many.

    0 if indentation does. Brackets inside quotes count too: the text is refused anyway,
    only the reported position may differ.
    """
    depth = 0
    for found in re.finditer(r"[\[{\]}]", text):
        depth += 1 if found[0] in "[{" else -1
        if depth > DEEPEST:
            return found.start()
    return 0
