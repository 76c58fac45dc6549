"""The topics of `runner help` and the sections that they show."""

from __future__ import annotations

import pytest

from runner.cli.documentation.topics import TOPICS, section
from runner.resources import DOCUMENTS, document_text

DOCUMENT = "# A\n\none\n\n## B\n\ntwo\n\n### C\n\n```sh\n# not a heading\n```\n\n## D\n\nthree\n"


def test_a_section_ends_at_the_next_heading_of_its_level_or_above() -> None:
    assert section(DOCUMENT, "B") == ("## B\n\ntwo\n\n### C\n\n```sh\n# not a heading\n```\n\n")
    assert section(DOCUMENT, "C") == "### C\n\n```sh\n# not a heading\n```\n\n"
    assert section(DOCUMENT, "D") == "## D\n\nthree\n"
    assert section(DOCUMENT, None) == DOCUMENT


@pytest.mark.parametrize("name", TOPICS)
def test_each_topic_has_its_section(name: str) -> None:
    topic = TOPICS[name]
    assert len(section(document_text(topic.document), topic.heading).splitlines()) > 2


def test_each_document_has_a_topic() -> None:
    assert {topic.document for topic in TOPICS.values()} == set(DOCUMENTS)
