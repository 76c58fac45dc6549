"""Which word was meant by a misspelt one. Pure.

A suggestion is either right or absent: it must be a slip of the keyboard away (a letter
too many, too few, wrong, or two exchanged; two such slips in a longer word), nothing
else may be as near, and digits are never taken for slips.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 100
_LONG = 6
"""From so many characters on, two slips are still one word."""


def nearest_word(word: str, words: Iterable[str]) -> str | None:
    """Return the only one of `words` that `word` is a misspelling of, whatever the case
    of its letters.

    >>> nearest_word("fryday", ["monday", "friday"]), nearest_word("monday-friday", ["monday", "friday"])
    ('friday', None)
    >>> nearest_word("sonday", ["monday", "sunday"]), nearest_word("backup-3", ["backup-2"])
    (None, None)
    """
    from difflib import (
        get_close_matches,
    )  # it takes milliseconds to load, and most documents need no suggestion

    word = word[:_LONGEST].strip()
    if word in (given := list(words)):
        return word
    by_folded = {each.casefold(): each for each in given}
    folded = word.casefold()
    if folded in by_folded:
        return by_folded[folded]
    if re.search(r"[^\w\s./-]", folded):
        return None  # `@daily` is a word of another language, not a slip
    close = get_close_matches(folded, by_folded, n=5, cutoff=0.6)
    slips = sorted(
        (_slips(folded, each), each) for each in close if _digits(each) == _digits(folded)
    )
    possible = [
        each for each in slips if each[0] <= (2 if min(len(folded), len(each[1])) >= _LONG else 1)
    ]
    if not possible or (len(possible) > 1 and possible[0][0] == possible[1][0]):
        return None
    return by_folded[possible[0][1]]


def _digits(word: str) -> str:
    return re.sub(r"\D", "", word)


def _slips(one: str, other: str) -> int:
    """Count the slips between two words: the optimal string alignment distance.

    >>> _slips("madird", "madrid"), _slips("dayly", "daily"), _slips("script", "secrets")
    (1, 1, 4)
    """
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, its in enumerate(other, 1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != its))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == its:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, above = above, current
    return above[-1]
