"""Searches a stream of bytes for texts. Pure; imports little, for a fast launcher."""

from __future__ import annotations

from collections.abc import Sequence


class TextSearch:
    """Looks for the first occurrence of any of some texts.

    The result does not depend on how the stream is cut into pieces: the search keeps the
    end of what it has seen, one byte less than the longest text.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._kept = max(map(len, texts), default=1) - 1
        self._end = b""

    def feed(self, piece: bytes) -> bytes | None:
        """Take the next piece of the stream; return a text that it completes.

        Return None if there is none, and always after the first text was found.
        """
        seen = self._end + piece
        found = next((text for text in self._texts if text in seen), None)
        if found is not None:
            self._texts = ()
        self._end = seen[max(0, len(seen) - self._kept) :] if self._texts else b""
        return found
