"""Finds the pieces of code in the documentation that somebody may copy: commands, Python, sweep files."""

import re
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "python" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# A line of an indented block that a shell would run: a program's name, or a variable before it.
COMMAND = re.compile(r"(\w+=\S+ )*(headstart|make|cargo|pip|python3?) \S|\w+=(\"|\$\()")


@dataclass(frozen=True)
class Snippet:
    """A block of a page."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets() -> "list[Snippet]":
    """All blocks of all pages that are input: fenced ones by their language, dialogues and indented ones where they hold commands."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for line, language, text in blocks(page.read_text("utf-8").splitlines()):
            kind, text = ("sh", commands(text, language)) if language in ("", "text", "console") else (language, text)
            if text:
                found.append(Snippet(name, line, kind, text))
    return found


def blocks(lines: "list[str]") -> "list[tuple[int, str, str]]":
    """Number of the first line, language and text of each block; that of an indented block is empty."""
    found, at = [], 0
    while at < len(lines):
        begin = at
        if lines[at].startswith("```"):
            at = next(i for i in range(at + 1, len(lines)) if lines[i].startswith("```"))
            found.append((begin + 2, lines[begin][3:].strip(), "\n".join(lines[begin + 1 : at])))
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()):
            while at + 1 < len(lines) and (lines[at + 1].startswith("    ") or not lines[at + 1].strip()):
                at += 1
            found.append((begin + 1, "", "\n".join(line[4:] for line in lines[begin : at + 1])))
        at += 1
    return found


def commands(text: str, language: str) -> str:
    """The lines of a block that are commands: in a dialogue those behind `$`, in an indented block those that look so."""
    lines = text.splitlines()
    if language:
        return "\n".join(line[2:] for line in lines if line.startswith("$ "))
    return "\n".join(line for line in lines if COMMAND.match(line))
