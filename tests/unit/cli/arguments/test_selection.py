"""Which requests a selection means, and what it says of a misspelt one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.arguments.selection import Selectable, Selection, labels_of, select
from runner.errors import UsageError

_KEYS, _VALUES = ["team", "tier", "a=b", " ", "'"], ["", "x", "x=y", "$(id)", "\x1b[31m", "a\nb"]
_NAMES = ["a", "ab", "b.c", "month-end", "x_1"]
_STATUSES = ["scheduled", "complete", "invalid"]


def _candidate(name: str, **given: object) -> Selectable:
    usual: dict[str, object] = {
        "labels": {},
        "owner": None,
        "status": "scheduled",
        "is_failing": False,
    }
    return Selectable(name=name, **{**usual, **given})  # type: ignore[arg-type]


FINANCE = _candidate("nightly-posting", labels={"team": "finance"}, owner="ana", is_failing=True)
OPS = _candidate("nightly-backup", labels={"team": "ops", "tier": "gold"}, status="complete")
PLAIN = _candidate("cleanup")
ALL = [FINANCE, OPS, PLAIN]

candidates = st.lists(
    st.builds(
        Selectable,
        name=st.sampled_from(_NAMES),
        labels=st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES)),
        owner=st.none() | st.sampled_from(_VALUES),
        status=st.sampled_from(_STATUSES),
        is_failing=st.booleans(),
    ),
    unique_by=lambda each: each.name,
)


@given(candidates, st.data())
def test_a_request_is_selected_by_its_own_name_labels_owner_and_status(
    known: list[Selectable], data: st.DataObject
) -> None:
    if not known:
        return
    wanted = data.draw(st.sampled_from(known))
    selection = Selection(
        names=(wanted.name,),
        labels=labels_of(f"{key}={value}" for key, value in wanted.labels.items()),
        owners=frozenset({wanted.owner} - {None}),  # type: ignore[arg-type]
        statuses=frozenset({wanted.status}),
        is_failing=wanted.is_failing,
    )
    assert select(known, selection) == [wanted.name]


@given(candidates, st.sampled_from(_KEYS), st.sampled_from(_VALUES))
def test_a_label_selects_the_requests_that_have_it_and_no_other(
    known: list[Selectable], key: str, value: str
) -> None:
    # `a=b=x` is the label `a=b` with the value `x` as much as `a` with the value `b=x`.
    text = f"{key}={value}"
    expected = [each.name for each in known if text in {f"{k}={v}" for k, v in each.labels.items()}]
    if expected:
        assert select(known, Selection(labels=labels_of([text]))) == expected
    else:
        with pytest.raises(UsageError):
            select(known, Selection(labels=labels_of([text])))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["nightly-posting", "nightly-backup", "cleanup"]),
        (Selection(names=("nightly-*",)), ["nightly-posting", "nightly-backup"]),
        (Selection(names=("[a-m]*", "*-backup")), ["nightly-backup", "cleanup"]),
        (Selection(names=("c?eanup",)), ["cleanup"]),
        (
            Selection(labels=labels_of(["team=finance", "team=ops"])),
            ["nightly-posting", "nightly-backup"],
        ),
        (Selection(labels=labels_of(["team=ops", "tier=gold"])), ["nightly-backup"]),
        (Selection(owners=frozenset({"ana"})), ["nightly-posting"]),
        (Selection(statuses=frozenset({"complete"})), ["nightly-backup"]),
        (Selection(is_failing=True), ["nightly-posting"]),
        (Selection(is_failing=True, labels=labels_of(["team=ops"])), []),
        (Selection(statuses=frozenset({"invalid"})), []),
    ],
)
def test_values_of_one_part_are_alternatives_and_every_part_must_be_met(
    selection: Selection, expected: list[str]
) -> None:
    assert select(ALL, selection) == expected


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(names=("weekly-*",)), "no request matches 'weekly-*'; `runner ls` lists all"),
        (Selection(names=("[",)), "no request matches '['"),
        (
            Selection(labels=labels_of(["taem=finance"])),
            "no request has the label 'taem=finance'; did you mean 'team=finance'?",
        ),
        (
            Selection(labels=labels_of(["taem=x"])),
            "did you mean 'team'? 'team' has team=finance, team=ops",
        ),
        (Selection(labels=labels_of(["team=finanse"])), "did you mean 'team=finance'?"),
        (Selection(labels=labels_of(["team=x"])), "; 'team' has team=finance, team=ops"),
        (
            Selection(labels=labels_of(["region=eu"])),
            "the labels are team=finance, team=ops, tier=gold",
        ),
        (Selection(owners=frozenset({"anna"})), "did you mean 'ana'?"),
        (Selection(owners=frozenset({"eve"})), "the owners are ana"),
        (
            Selection(names=("cleanup",), labels=labels_of(["team=ops"])),
            "no request meets all of: cleanup, --label team=ops",
        ),
        (
            Selection(names=("cleanup", "weekly")),
            "no request is called 'weekly'",
        ),
    ],
)
def test_a_selection_without_a_request_says_what_there_is(selection: Selection, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        select(ALL, selection)
    assert words in str(raised.value)
    assert raised.value.exit_code == 2


def test_many_labels_are_counted_and_hostile_ones_are_escaped() -> None:
    known = [_candidate(f"n{n}", labels={"k": f"\x1b[2J\n{n:02}"}) for n in range(20)]
    with pytest.raises(UsageError) as raised:
        select(known, Selection(labels=labels_of(["other=1"])))
    assert str(raised.value).endswith(r", k=\x1b[2J\x0a07 and 12 more")
    with pytest.raises(UsageError, match="no request has any"):
        select([PLAIN], Selection(labels=labels_of(["other=1"])))


@pytest.mark.parametrize("text", ["team", "", "=finance", "="])
def test_a_label_without_a_key_and_an_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--label takes KEY=VALUE"):
        labels_of([text])
