"""Links between the pages of the documentation lead somewhere, to headings too, and commands name only subcommands and flags that there are."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, binary

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "python" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)


def anchors(page: Path) -> "set[str]":
    """Names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not heading or heading in anchors(target), f"{page.name}: {target.name} has no heading #{heading}"


def commands() -> "list[tuple[str, list[str]]]":
    """Lines of code that call headstart: where they stand, and their words."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text("utf-8"), flags=re.S)
        indented = re.findall(r"^    (headstart .*)$", page.read_text("utf-8"), flags=re.M)
        for line in [*(line for block in blocks for line in block.splitlines()), *indented]:
            call = re.search(r"(?:^|\$ |\(|; |\s)headstart ([a-z].*)", re.sub(r"(^|\s)#.*", "", line))
            if call:
                found.append((f"{page.name}: {line.strip()}", re.split(r"[\s)]+", call[1])))
    return found


def test_commands_name_what_there_is() -> None:
    helps: "dict[tuple[str, ...], str]" = {}

    def help_of(*verb: str) -> str:
        if verb not in helps:
            done = subprocess.run([binary(), *verb, "--help"], capture_output=True, text=True)
            helps[verb] = done.stdout if done.returncode == 0 else ""
        return helps[verb]

    calls = commands()
    assert len(calls) > 20
    for place, words in calls:
        verb = tuple(words[:2]) if words[0] in ("bench", "weights") else tuple(words[:1])
        text = help_of(*verb)
        assert text, f"{place}: there is no `headstart {' '.join(verb)}`"
        for flag in re.findall(r"--[a-z-]+", " ".join(words)):
            assert re.search(rf"{flag}\b", text), f"{place}: `headstart {' '.join(verb)}` has no {flag}"
