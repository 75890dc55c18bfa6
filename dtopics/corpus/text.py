"""Plain text: each line a document, or each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dtopics.corpus.columns import Fields
from dtopics.corpus.files import stream_bytes
from dtopics.corpus.lines import BOM, LineFormat
from dtopics.corpus.rows import Rows, decode_text
from dtopics.store.location import Location


@dataclass(frozen=True)
class Text(LineFormat):
    """Each line is a document; an empty line is an empty one."""

    def fields(self, location: Location) -> Fields:  # noqa: ARG002
        """Return no fields: there are no columns."""
        return {}

    def parse(self, lines: Sequence[bytes], header: tuple[str, ...]) -> Rows:  # noqa: ARG002
        """Return one row for each line."""
        decoded = [decode_text(line.removesuffix(b"\r")) for line in lines]
        replaced = tuple(i for i, (_, mended) in enumerate(decoded) if mended)
        return Rows([text for text, _ in decoded], replaced, {})


@dataclass(frozen=True)
class TextFiles(Text):
    """Each file is a document, and its name the document's id."""

    def parse_stream(self, location: Location) -> Iterator[Rows]:
        """Yield the file's one row."""
        data = b"".join(stream_bytes(location)).removeprefix(BOM)
        text, mended = decode_text(data)
        yield Rows([text], (0,) if mended else (), {"id": pa.array([location.name])})
