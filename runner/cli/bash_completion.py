"""Completion in bash, which splits a word at each `=`: `team=fin` arrives as three words.

click's own class would then complete `fin` as an argument of its own.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, add_completion_class


class _Bash(BashComplete):
    """Joins what bash has split, and answers with the part that bash replaces."""

    _answered = ""
    """The part of the word before its last `=`. Bash keeps it, so no answer repeats it."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words = [*args, incomplete]
        *args, joined = _joined(words)
        if joined != incomplete:
            self._answered = joined[: joined.rfind("=") + 1]
            if joined.startswith("-"):
                self._answered = self._answered.partition("=")[2]
        return args, joined

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{item.value.removeprefix(self._answered)}"


def _joined(words: list[str]) -> list[str]:
    """Return the words as they were before bash split them.

    >>> _joined(["--label", "team", "=", "fin"])
    ['--label', 'team=fin']
    """
    joined: list[str] = []
    is_open = False
    for word in words:
        is_sign = word == "="
        if joined and (is_sign or is_open):
            joined[-1] += word
        else:
            joined.append(word)
        is_open = is_sign
    return joined


add_completion_class(_Bash)
