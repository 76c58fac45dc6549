"""Which requests a command line asks for: by name, label, owner, status and result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.errors import UsageError
from runner.matching import has_labels, is_glob, is_matched
from runner.spelling import nearest_word
from runner.values import listed, neutral

_MOST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The requests that a command line asks for.

    A request is selected if it meets every part. Values of one part are alternatives. An
    empty part accepts every request.
    """

    names: tuple[str, ...] = ()
    """Names and globs."""
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Per key the texts `KEY=VALUE`. A request needs one of them for every key."""
    owners: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    is_failing: bool = False

    @property
    def has_conditions(self) -> bool:
        """Whether an option selects, and not only a name or a glob."""
        return bool(self.labels or self.owners or self.statuses or self.is_failing)

    @property
    def is_by_name(self) -> bool:
        """Whether it consists of full names alone. These need no look at the requests."""
        return bool(self.names) and not self.has_conditions and not any(map(is_glob, self.names))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
        return not self.names and not self.has_conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectable:
    """What a selection looks at in a request."""

    name: str
    labels: Mapping[str, str]
    owner: str | None
    status: str
    """A RequestStatus, or "invalid"."""
    is_failing: bool
    """Whether the last execution failed."""


def labels_of(texts: Iterable[str]) -> dict[str, frozenset[str]]:
    """Group texts of the form `KEY=VALUE` by key. Raises UsageError for other texts.

    >>> labels_of(["tier=a", "tier=b"]) == {"tier": {"tier=a", "tier=b"}}
    True
    """
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        key, sign, _ = text.partition("=")
        if not (key and sign):
            raise UsageError(f"--label takes KEY=VALUE, such as team=finance, not {text!r}")
        found[key] = found.get(key, frozenset()) | {text}
    return found


def select(candidates: Iterable[Selectable], selection: Selection) -> list[str]:
    """Return the names of the selected requests, in the order of `candidates`.

    Raises UsageError, with a hint, if no request has the name, labels and owner asked for:
    the command line is wrong. The result is empty if such requests exist, but none is
    failing or in one of the statuses at the moment.
    """
    known = list(candidates)
    _require_known(known, selection)
    declared = [each for each in known if is_declared(each, selection)]
    if not declared and (conditions := _conditions(selection)):
        raise UsageError(f"no request meets all of: {', '.join(conditions)}")
    return [
        each.name
        for each in declared
        if (not selection.statuses or each.status in selection.statuses)
        and (each.is_failing or not selection.is_failing)
    ]


def is_declared(candidate: Selectable, selection: Selection) -> bool:
    """Return whether a request has the name, the labels and the owner asked for."""
    return (
        (
            not selection.names
            or any(is_matched((candidate.name,), each) for each in selection.names)
        )
        and has_labels(candidate.labels, selection.labels.values())
        and (not selection.owners or candidate.owner in selection.owners)
    )


def labels_in(candidates: Iterable[Selectable]) -> list[str]:
    """Return all labels of requests, as `KEY=VALUE`, sorted."""
    return sorted({_text(*label) for each in candidates for label in each.labels.items()})


def owners_in(candidates: Iterable[Selectable]) -> list[str]:
    """Return all owners of requests, sorted."""
    return sorted({each.owner for each in candidates if each.owner is not None})


def _text(key: str, value: str) -> str:
    return f"{key}={value}"


def _require_known(known: list[Selectable], selection: Selection) -> None:
    """Raise UsageError for a name, a label or an owner that no request has."""
    for name in selection.names:
        if not is_matched((each.name for each in known), name):
            what = "matches" if is_glob(name) else "is called"
            raise UsageError(f"no request {what} {name!r}; `runner ls` lists all requests")
    labels, owners = labels_in(known), owners_in(known)
    for wanted in selection.labels.values():
        for label in sorted(wanted - set(labels)):
            raise UsageError(f"no request has the label {label!r}; {_label_hint(label, labels)}")
    for owner in sorted(selection.owners - set(owners)):
        raise UsageError(
            f"no request has the owner {owner!r}; {_hint(owner, owners, 'the owners are')}"
        )


def _label_hint(label: str, labels: list[str]) -> str:
    """Return the label that may be meant, else the labels of its key, else all labels."""
    key, _, value = label.partition("=")
    values: dict[str, list[str]] = {}
    for each in labels:
        its_key, _, its_value = each.partition("=")
        values.setdefault(its_key, []).append(its_value)
    meant = nearest_word(key, values)
    if meant is None:
        return _listed("the labels are", labels)
    if near := nearest_word(value, values[meant]):
        return f"did you mean {_text(meant, near)!r}?"
    hint = "" if meant == key else f"did you mean {meant!r}? "
    return hint + _listed(f"{meant!r} has", [_text(meant, each) for each in values[meant]])


def _hint(word: str, words: list[str], heading: str) -> str:
    near = nearest_word(word, words)
    return f"did you mean {near!r}?" if near else _listed(heading, words)


def _listed(heading: str, words: list[str]) -> str:
    if not words:
        return "no request has any"
    return f"{heading} {listed(map(neutral, words), _MOST_SHOWN)}"


def _conditions(selection: Selection) -> list[str]:
    """Return the parts of a selection that a file declares, as the command line says them."""
    names = [" or ".join(selection.names)] if selection.names else []
    labels = [f"--label {' or '.join(sorted(each))}" for each in selection.labels.values()]
    owners = [f"--owner {' or '.join(sorted(selection.owners))}"] if selection.owners else []
    return [neutral(each) for each in (*names, *labels, *owners)]
