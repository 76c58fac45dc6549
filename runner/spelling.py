"""Suggest the right word for a misspelt one. Pure.

A wrong suggestion is worse than none. The suggested word must therefore be one typing
error away (a letter added, missing, wrong, or two letters swapped) or two in a longer
word, no other word may be as close, and digits must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 100
_LONG = 6
"""Words of at least this many characters may have two typing errors."""


def nearest_word(word: str, words: Iterable[str]) -> str | None:
    """Return the only one of `words` that `word` may be a misspelling of, ignoring case.

    Returns None if there is no such word, or more than one.

    >>> nearest_word("fryday", ["monday", "friday"])
    'friday'
    >>> nearest_word("sonday", ["monday", "sunday"]), nearest_word("backup-3", ["backup-2"])
    (None, None)
    >>> nearest_word("monday-friday", ["monday", "friday"])
    """
    # difflib takes milliseconds to import, and most documents need no suggestion.
    from difflib import get_close_matches

    word = word[:_LONGEST].strip()
    if word in (given := list(words)):
        return word
    by_folded = {each.casefold(): each for each in given}
    folded = word.casefold()
    if folded in by_folded:
        return by_folded[folded]
    if re.search(r"[^\w\s./-]", folded):
        return None  # `@daily` is a word of another scheduler, not a typing error
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
    """Count the typing errors between two words: the optimal string alignment distance.

    >>> _slips("madird", "madrid"), _slips("dayly", "daily"), _slips("script", "secrets")
    (1, 1, 4)
    """
    # Dynamic programming over prefixes: `current[c]` is the distance of the first `row`
    # letters of `one` to the first `c` letters of `other`; `above` and `before` are the
    # one and two rows earlier.
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
