"""The documentation: one README at the top and one beside each thing that it describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.place import ROOT

from runner import resources

DOCUMENTS = tuple(ROOT / path for path in resources.DOCUMENTS)

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)<!-- /generated -->", re.DOTALL)
_FILE = re.compile(r"# (\S+\.(?:yaml|env|txt|py|conf))\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the first line of the block names."""
        match = _FILE.match(self.text)
        return match[1] if match else None

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands of a transcript, each with what it prints."""
        steps = [
            part.partition("\n") for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        ]
        return [(command, output) for command, _, output in steps]

    def write_in(self, folder: Path) -> Path:
        """Write the file that the block names into a folder; return its path."""
        assert self.file is not None
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), f"two examples are {path.name}"
        path.write_text(self.text)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedTable:
    """A part of a document that is generated from the program."""

    document: Path
    name: str
    head: str
    content: str


def blocks(text: str, document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a text."""
    for language, content in _FENCE.findall(text):
        yield Block(document=document, language=language, text=content)


def generated_tables() -> Iterator[GeneratedTable]:
    """Yield the generated tables of all documents."""
    for document in DOCUMENTS:
        for head, name, content in _GENERATED.findall(document.read_text()):
            yield GeneratedTable(document=document, name=name, head=head, content=content)


def replace_in(document: Path, old: str, new: str) -> None:
    """Write a document with one part of it replaced."""
    text = document.read_text()
    assert text.count(old) == 1
    document.write_text(text.replace(old, new))
