"""Files of imported requests: every YAML parser reads the same data, and the remarks are
comments.
"""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.importing.imported import (
    Draft,
    Imported,
    ImportSettings,
    Remark,
    Severity,
    finished,
    name_of,
)
from runner.importing.writing import document_text, request_text
from runner.requests.yaml.document import documents_in
from runner.values import EPOCH

SETTINGS = ImportSettings(default_zone="UTC", now=EPOCH)
AWKWARD = [
    "", " ", "no", "Yes", "on", "y", "N", "~", "null", "true", "1", "0700", "1.10", "1e3",
    "10:30", "0x1f", "0o17", ".inf", "2026-01-01", "=", "<<", "*/5 * * * *", "&a", "!b",
    "a: b", "a #b", "- a", "? a", "% d", "@x", "`x`", "a\n", "\na", " a\n b\n", "a\n\n",
    "tab\there", "a\\n", '"', "'", "é€😀", "\x85", "\u2028", "x" * 300, "a  b " * 60,
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.sampled_from("abcdy"), st.one_of(texts, st.lists(texts, max_size=3), st.booleans())
    )
)
def test_parsers_of_both_yaml_versions_read_the_written_data(data: dict[str, object]) -> None:
    text = document_text(data)
    documents = documents_in(text.encode(), "x.yaml")
    assert not hasattr(documents, "message"), documents
    assert [document.data for document in documents] == [data]
    assert yaml.safe_load(text) == data


@pytest.mark.parametrize("text", AWKWARD)
def test_each_awkward_text_is_read_again(text: str) -> None:
    written = document_text({"key": text, "list": [text]})
    assert yaml.safe_load(written) == {"key": text, "list": [text]}


def test_text_in_comments_cannot_break_out_of_them() -> None:
    remark = Remark(
        line=2,
        severity=Severity.CHANGED,
        message="one\ntwo\u2028three",
        suggestion="four\rfive\x85six",
    )
    request = Imported(
        name="x",
        line=2,
        excerpt="echo\nname: y\x1b[0m " + "w " * 200,
        data={"name": "x"},
        remarks=(remark,),
    )
    text = request_text(request, "a\nb: c")
    assert [line for line in text.split("\n") if line and not line.startswith("#")] == ["name: x"]
    assert max(map(len, text.splitlines())) <= 118
    assert yaml.safe_load(text) == {"name": "x"}
    assert "#   CHANGED: one two three (four five six)" in text


def test_names_are_unique_and_allowed_by_the_schema() -> None:
    wanted = ["Backup", "backup!", "backup-2", "Ünïcode", "***", "x" * 200, "backup"]
    drafts = [
        Draft(line=number, excerpt="", wanted_name=name) for number, name in enumerate(wanted, 1)
    ]
    names = [request.name for request in finished(drafts, [], SETTINGS).requests]
    assert names == ["backup", "backup-2", "backup-2-2", "n-code", "line-5", "x" * 90, "backup-3"]
    assert name_of("--a b--") == "a-b"


def test_only_a_request_whose_meaning_changed_is_unscheduled() -> None:
    for tell, scheduled in (
        (Draft.changed, False),
        (Draft.differs, True),
        (Draft.note, True),
    ):
        draft = Draft(line=1, excerpt="", wanted_name="x", process={"shell": "x"})
        tell(draft, "something")
        data = draft.imported("x", "UTC").data
        assert data is not None
        assert data.get("scheduled", True) is scheduled
