"""Secret values out of a stream of bytes. Pure, and light: the launcher imports it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MASK = b"***"
_TELLING = 4  # bytes of a secret's beginning that are no coincidence


class Masker:
    """Replaces each occurrence of a secret by `***`, and occurrences that overlap by a single one.

    However the stream is cut into pieces, the result is the same. What may be the
    beginning of a secret is held back: always less than the longest secret. An empty
    secret is none.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted(filter(None, set(secrets)))
        self._longest = max(map(len, self._secrets), default=0)
        self._longer = _by_beginning(self._secrets)
        self._held = b""
        self._lead = 0  # how much of `_held` belongs to an occurrence that began before it

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece; return what can be shown by now."""
        data = self._held + piece
        return self._advance(data, len(data) - self._undecided(data))

    def flush(self, *, is_cut: bool = False) -> bytes:
        """Return what was held back, at the end of the stream.

        The beginning of a secret is masked where the stream `is_cut`, because its
        writer was stopped; at the end of a whole stream, where a character or two are a
        coincidence, only from four bytes on.
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
        """Return the length of the longest end of `data` that is the beginning of a
        secret, and not all of it.
        """
        end = data[max(0, len(data) - self._longest + 1) :] if self._longest else b""
        return max((_overlap(end, secret) for secret in self._secrets), default=0)

    def _advance(self, data: bytes, until: int) -> bytes:
        """Mask and return the first `until` bytes, of which no occurrence begins that
        is not whole; hold the rest.
        """
        shown = []
        covered = self._lead
        for start, end in self._occurrences(data):
            if start >= until:
                break
            if start >= covered:
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
    """Return the secrets that no other one begins, each with those that it begins: only
    the former are searched for.

    `secrets` are sorted, so that one follows right behind its beginnings.
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
    """Return the length of the longest end of `end` that begins `secret`, but is shorter."""
    start = end.find(secret[:1], max(0, len(end) - len(secret) + 1))
    while start >= 0 and not secret.startswith(end[start:]):
        start = end.find(secret[:1], start + 1)
    return len(end) - start if start >= 0 else 0
