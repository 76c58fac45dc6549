"""Masks secrets in a stream of bytes. Pure; imports little, for a fast launcher."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MASK = b"***"
_TELLING = 4  # bytes; a shorter beginning of a secret at the end of a stream is a coincidence


class Masker:
    """Replaces each occurrence of a secret by `***`; overlapping ones by a single `***`.

    The result does not depend on how the stream is cut into pieces. The masker holds
    back bytes that may begin a secret, always fewer than the longest secret has. It
    ignores an empty secret.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted(filter(None, set(secrets)))
        self._longest = max(map(len, self._secrets), default=0)
        self._longer = _by_beginning(self._secrets)
        self._held = b""
        # How many bytes at the start of `_held` belong to an occurrence that began before
        # it, and so are masked already.
        self._lead = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece of the stream; return the masked bytes that are certain."""
        data = self._held + piece
        return self._advance(data, len(data) - self._undecided(data))

    def flush(self, *, is_cut: bool = False) -> bytes:
        """Return the bytes held back, masked, at the end of the stream.

        With `is_cut`, the writer was stopped, perhaps within a secret: mask any beginning
        of a secret. At the end of a complete stream, mask a beginning of four bytes or
        more; a shorter one is a coincidence.
        """
        held = self._held
        unsettled = self._undecided(held)
        if unsettled < (1 if is_cut else _TELLING):
            return self._advance(held, len(held))
        shown = self._advance(held, len(held) - unsettled)
        is_covered = self._lead > 0
        self._held, self._lead = b"", 0
        return shown if is_covered else shown + MASK

    def _undecided(self, data: bytes) -> int:
        """Return the length of the longest end of `data` that begins a secret.

        An end that is a whole secret does not count.
        """
        end = data[max(0, len(data) - self._longest + 1) :] if self._longest else b""
        return max((_overlap(end, secret) for secret in self._secrets), default=0)

    def _advance(self, data: bytes, until: int) -> bytes:
        """Mask and return the first `until` bytes of `data`; hold the rest back.

        Every occurrence that begins in the first `until` bytes ends within `data`.
        """
        shown = []
        covered = self._lead  # the end of the occurrences seen so far
        for start, end in self._occurrences(data):
            if start >= until:
                break
            if start >= covered:  # an overlapping occurrence gets no mask of its own
                shown += [data[covered:start], MASK]
            covered = max(covered, end)
        shown.append(data[covered:until])
        self._held, self._lead = data[until:], max(0, covered - until)
        return b"".join(shown)

    def _occurrences(self, data: bytes) -> list[tuple[int, int]]:
        return sorted(
            (
                start,
                start
                + max(
                    (len(each) for each in longer if data.startswith(each, start)),
                    default=len(secret),
                ),
            )
            for secret, longer in self._longer.items()
            for start in _places(data, secret)
        )


def _by_beginning(secrets: list[bytes]) -> dict[bytes, list[bytes]]:
    """Group the secrets by their shortest beginning that is itself a secret.

    Only the keys are searched for in the data; the longer secrets are compared where a
    key was found. `secrets` are sorted, so a secret directly follows its beginnings.
    """
    longer: dict[bytes, list[bytes]] = {}
    beginning = None
    for secret in secrets:
        if beginning is not None and secret.startswith(beginning):
            longer[beginning].append(secret)
        else:
            longer[beginning := secret] = []
    return longer


def _places(data: bytes, secret: bytes) -> Iterator[int]:
    start = data.find(secret)
    while start >= 0:
        yield start
        start = data.find(secret, start + 1)


def _overlap(end: bytes, secret: bytes) -> int:
    """Return the length of the longest suffix of `end` that begins, but is not, `secret`."""
    start = end.find(secret[:1], max(0, len(end) - len(secret) + 1))
    while start >= 0 and not secret.startswith(end[start:]):
        start = end.find(secret[:1], start + 1)
    return len(end) - start if start >= 0 else 0
