"""How a terminal shows the way from records to columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Column, Table

from lake_platform.cli.shell import Shell
from lake_platform.domain.described import Line
from lake_platform.domain.mapping import Mapped, share_text, shown, summary

_MOST_LINES = 60  # at a registration
_LONGEST = 60


def show_registered(shell: Shell, table: str, mapped: Sequence[Mapped], indent: str = "") -> None:
    """What is not plain: a summary, and the paths that a rule is about."""
    if not (told := summary(mapped)):
        return
    shell.say(f"{indent}columns: {told}")
    ruled = [(1, m) for m in mapped if m.rules]
    shell.console.print(grid(ruled[:_MOST_LINES]))
    if len(ruled) > _MOST_LINES:
        shell.say(f"{len(ruled) - _MOST_LINES} more with a rule")
    shell.say(f"{indent}all columns: lake schema show {table}")


def grid(lines: Iterable[Line], *, versions: bool = False) -> Table:
    """`versions`: with the one each came with."""
    names = ["in the record", "column", "type", "rule", "why", "share", "example"]
    wide = [Column(name, overflow="fold") for name in names[:5]]
    rest = [Column(names[5], no_wrap=True, justify="right"), Column(names[6], overflow="fold")]
    made = Table(*wide, *rest, *([Column("since", justify="right")] if versions else []))
    for version, m in lines:
        cells = [
            _cut(shown(m.path)),
            _cut(m.column) or "-",
            _cut(m.type) or "-",
            _rules(m),
            f"{m.doc}\n{m.reason}" if m.doc else m.reason,
            share_text(m.share),
            _cut(m.example),
        ]
        made.add_row(*map(safe, cells), *([str(version or "")] if versions else []))
    return made


def safe(text: str) -> str:
    """Keys of records may hold halves of characters, which no terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _rules(mapped: Mapped) -> str:
    named = (f"map ({mapped.keys} keys)" if r == "map" and mapped.keys else r for r in mapped.rules)
    return ", ".join(named)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
