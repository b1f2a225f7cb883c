"""Bytes as text: of which encoding they are, by rule; and as rows of cells."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

#: What is read of a file, in bytes.
MOST_BYTES = 2**30
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEPARATORS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LOOKED_AT = 200
#: Bytes that only text read in a wrong encoding has: a letter with an accent in UTF-8, as Latin-1.
_GARBLED = ("\u00c3\u00a9", "\u00c3\u00bc", "\u00c3\u00a4", "\u00c3\u00b6", "\u00e2\u20ac")


def decoded(file: Path) -> tuple[str, list[str]]:
    """A file's text, and what is to be said of it.

    Raises
    ------
    ValueError
        If it is no text, or larger than a GiB.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file} has more than {MOST_BYTES >> 20} MiB; give a part of it")
    raw = file.read_bytes()
    for bom, name in _BOMS:
        if raw.startswith(bom):
            try:
                return raw.decode(name), [] if name == "utf-8-sig" else [f"It is read as {name}."]
            except UnicodeDecodeError as error:
                raise ValueError(f"{file} begins as {name} and is none: {error.reason}") from None
    if b"\0" in raw[:100_000]:
        raise ValueError(f"{file} holds zero bytes: it is no text. Save it as UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        lines = raw.split(b"\n")
        other = 0
        parts = []
        for line in lines:
            try:
                parts.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                other += 1
                parts.append(_windows(line))
        text = "\n".join(parts)
        share = "It is" if other > 1 and all(map(_plain_or_other, lines)) else f"{other} lines are"
        return text, [f"{share} not UTF-8: read as Windows-1252, the usual encoding before it."]
    said = []
    if any(mark in text for mark in _GARBLED):
        said.append(
            "Some texts look as if they had been read in a wrong encoding before they were saved "
            "('\u00c3\u00a9' for '\u00e9'); they are left as they are."
        )
    return text, said


def lines_of(text: str) -> list[str]:
    """Lines as files end them: a sentence may hold what else Unicode ends lines with."""
    return re.split(r"\r\n?|\n", text)


def _windows(line: bytes) -> str:
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing there
        return line.decode("latin-1")


def _plain_or_other(line: bytes) -> bool:
    """Whether a line says nothing for UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return line.isascii()


def rows_of(text: str) -> tuple[list[list[str]], list[str]]:
    """Lines of cells, all equally long, and what is to be said of them.

    Raises
    ------
    ValueError
        If there is no line.
    """
    csv.field_size_limit(2**27)
    separator = _separator(text)
    lines = [row for row in _parsed(text, separator) if any(cell.strip() for cell in row)]
    if not lines:
        raise ValueError("there is no line in it")
    wide = Counter(map(len, lines)).most_common(1)[0][0]
    kept = [row for row in lines if len(row) == wide]
    said = [] if separator == "," else [f"Cells are separated by {_NAMES[separator]}."]
    if len(kept) < len(lines):
        n = len(lines) - len(kept)
        said.append(
            f"{n} line{' has' if n == 1 else 's have'} not {wide} cells as the others do: left out."
        )
    return kept, said


def _parsed(text: str, separator: str, most: int | None = None) -> list[list[str]]:
    # In tab separated text a quotation mark is most often one that somebody wrote.
    plain = separator == "\t" and '\t"' not in text
    lines = io.StringIO(text, newline="")
    if plain:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=separator)
    if most is None:
        return list(reader)
    return [row for row, _ in zip(reader, range(most), strict=False)]


def _separator(text: str) -> str:
    """The one that gives most lines the same number of cells, more than one."""
    best, found = (0.0, 0), ","
    for separator in _SEPARATORS:
        try:
            counts = Counter(len(row) for row in _parsed(text, separator, _LOOKED_AT) if row)
        except csv.Error:
            continue
        if not counts:
            continue
        wide, n = counts.most_common(1)[0]
        score = (n / sum(counts.values()), wide) if wide > 1 else (0.0, 0)
        if score > best:
            best, found = score, separator
    return found
