"""How names match globs, and labels match what a person asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase


def is_glob(name: str) -> bool:
    """Return whether a name is a glob. No request's name contains one of its characters."""
    return any(sign in name for sign in "*?[")


def is_matched(names: Iterable[str], pattern: str) -> bool:
    """Return whether one of `names` is `pattern`, or matches it if it is a glob.

    >>> is_matched(["month-end", "extract"], "ex*"), is_matched(["a[1]"], "a[1]")
    (True, True)
    """
    known = tuple(names)
    return pattern in known or (
        is_glob(pattern) and any(fnmatchcase(each, pattern) for each in known)
    )


def has_labels(labels: Mapping[str, str], wanted: Iterable[frozenset[str]]) -> bool:
    """Return whether labels have one of each set of texts `KEY=VALUE`.

    >>> has_labels({"team": "ops"}, [frozenset({"team=ops", "team=finance"})])
    True
    """
    texts = {f"{key}={value}" for key, value in labels.items()}
    return not any(texts.isdisjoint(each) for each in wanted)
