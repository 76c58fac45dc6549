"""The search for texts, compared with a search in the whole, for every way to cut the stream."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.execution.child.text_search import TextSearch

_WORDS = st.lists(st.sampled_from([b"a", b"b", b"\xc3\xa9", b"\n"]), min_size=1, max_size=5)
_TEXTS = st.lists(_WORDS.map(b"".join), max_size=4)
_DATA = st.lists(st.sampled_from([b"a", b"b", b"\xc3\xa9", b"\n"]), max_size=60).map(b"".join)


@given(_DATA, _TEXTS, st.lists(st.integers(0, 120), max_size=8))
def test_a_text_is_found_once_however_the_stream_is_cut(
    data: bytes, texts: list[bytes], cuts: list[int]
) -> None:
    search = TextSearch(texts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [text for a, b in pairwise(edges) if (text := search.feed(data[a:b])) is not None]
    expected = {text for text in texts if text in data}
    assert len(found) == bool(expected)
    assert set(found) <= expected
