"""Commands that messages and docs tell people to run are there, with their options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lake_platform.cli.main import app

_REPO = Path(__file__).parents[2]
_DOCS = [
    *(_REPO / name for name in ("README.md", "CHANGELOG.md", "Makefile", "definitions/README.md")),
    *_REPO.glob("docs/*.md"),
]
_CODE = ("lake_platform", "assets", "resources", "sensors")
_COMMAND = typer.main.get_command(app)
# In prose after a backtick or colon, in docs and the Makefile also as a line of their own.
_NAMED = re.compile(r"(?:`|: |^    |\$\(BIN\)/)lake ((?:--?)?[a-z][^`\n;)…]*)", re.MULTILINE)


# What the pages of the dashboard show; what a template puts in stands as `X`.
_IN_PAGES = re.compile(r"<code>lake ([^<]+)</code>")
_PUT_IN = re.compile(r"{{.*?}}")


def named() -> Iterator[tuple[str, str]]:
    for path in _DOCS:
        for found in _NAMED.findall(path.read_text()):
            yield path.name, found
    for path in sorted((_REPO / "lake_platform" / "api").rglob("*.html")):
        for found in _IN_PAGES.findall(_PUT_IN.sub("X", path.read_text())):
            yield path.name, found
    for package in _CODE:
        for path in sorted((_REPO / package).rglob("*.py")):
            for text in _texts(ast.parse(path.read_text())):
                for found in _NAMED.findall(text):
                    yield path.name, found


def _texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module; what an f-string puts in stands as `X`."""
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


def missing(command: str) -> str:
    """What of `command` the CLI does not have; empty when it has all of it."""
    here: Any = _COMMAND
    for word in command.split():
        subcommands = getattr(here, "commands", None)
        if word.startswith("-"):
            known = {o for p in here.params for o in (*p.opts, *p.secondary_opts)}
            if word.rstrip(",.") not in known:
                return word
        elif subcommands is not None:
            if (word := word.rstrip(",.:")) not in subcommands:
                return word
            here = subcommands[word]
    return "" if getattr(here, "commands", None) is None or len(command.split()) == 1 else command


@pytest.mark.parametrize(("place", "command"), sorted(set(named())))
def test_named_command_exists(place: str, command: str) -> None:
    assert missing(command) == "", place


def test_a_command_that_is_not_there_is_found() -> None:
    assert missing("incidents undo 3") == "undo"
    assert missing("datasets set x --force") == "--force"
    assert len(set(named())) > 30
