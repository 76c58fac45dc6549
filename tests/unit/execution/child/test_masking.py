"""Masking, compared with a byte-by-byte oracle, for every way to cut the stream."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.execution.child.masking import Masker

_DATA = st.lists(st.sampled_from([b"a", b"b", b"c", b"\n"]), max_size=60).map(b"".join)
_SECRETS = st.lists(
    st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=5).map(b"".join), max_size=4
)


def _by_bytes(data: bytes, secrets: list[bytes]) -> bytes:
    """Cover each byte of each occurrence; begin a mask unless an earlier one reaches here."""
    reach, shown = 0, b""
    for at in range(len(data)):
        ends = [at + len(secret) for secret in secrets if secret and data.startswith(secret, at)]
        if at >= reach:
            shown += b"***" if ends else data[at : at + 1]
        reach = max([reach, *ends])
    return shown


def masked(data: bytes, secrets: list[bytes]) -> bytes:
    masker = Masker(secrets)
    return masker.feed(data) + masker.flush()


@given(_DATA, _SECRETS, st.lists(st.integers(0, 60), max_size=8))
def test_the_result_does_not_depend_on_the_cuts_and_shows_no_byte_of_a_secret(
    data: bytes, secrets: list[bytes], cuts: list[int]
) -> None:
    masker = Masker(secrets)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    shown = b"".join(masker.feed(data[a:b]) for a, b in pairwise(edges))
    assert shown + masker.flush() == _by_bytes(data, secrets)


@given(_DATA, _SECRETS)
def test_only_bytes_that_may_begin_a_secret_are_held_back(
    data: bytes, secrets: list[bytes]
) -> None:
    begins = any(
        data.endswith(secret[:length]) for secret in secrets for length in range(1, len(secret))
    )
    masker = Masker(secrets)
    assert begins or masker.feed(data) == _by_bytes(data, secrets)


def test_a_secret_across_pieces_is_masked_and_other_bytes_pass_at_once() -> None:
    masker = Masker([b"hunter2"])
    assert masker.feed(b"password is hun") == b"password is "
    assert masker.feed(b"ter") == b""
    assert masker.feed(b"2\n") == b"***\n"
    assert masker.feed(b"hunt") == b""
    assert masker.feed(b"ing\n") == b"hunting\n"
    assert masker.flush() == b""


def test_overlapping_secrets_are_masked_in_full() -> None:
    assert masked(b"xabcdx", [b"abc", b"bcd"]) == b"x***x"
    assert masked(b"xabcx", [b"abc", b"b"]) == b"x***x"
    assert masked(b"aaaaa", [b"aa"]) == b"***"
    assert masked(b"pwpw", [b"pw"]) == b"******"


def test_binary_data_passes_and_an_empty_secret_is_ignored() -> None:
    assert masked(b"\x00\xff\x80", [b""]) == b"\x00\xff\x80"
    assert masked("clé: ñandú".encode(), ["ñandú".encode()]) == "clé: ***".encode()


def test_an_endless_stream_needs_bounded_memory() -> None:
    masker = Masker([b"a" * 1000])
    shown = sum(len(masker.feed(b"a" * 999)) for _ in range(50))
    assert shown == 3
    assert masker.flush() == b""


@given(_DATA, _SECRETS.filter(any))
def test_a_cut_stream_shows_no_beginning_of_a_secret_at_its_end(
    data: bytes, secrets: list[bytes]
) -> None:
    masker = Masker(secrets)
    shown = masker.feed(data) + masker.flush(is_cut=True)
    begins = {secret[:length] for secret in secrets for length in range(1, len(secret) + 1)}
    assert not shown.endswith(tuple(begins))
    assert masker.feed(b"x") + masker.flush() == b"x"


def test_a_complete_stream_may_end_with_up_to_three_bytes_that_begin_a_secret() -> None:
    for end, shown in ((b"push", b"push"), (b"hun", b"hun"), (b"hunt", b"***")):
        assert masked(end, [b"hunter2"]) == shown
