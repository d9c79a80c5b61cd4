"""`lake logs`: the logs of the embedded stack, one part or all of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from lake_platform.embedded.home import StackHome
from lake_platform.embedded.stack import tail
from lake_platform.errors import SetupError
from lake_platform.settings import load_settings

_POLL_SECONDS = 0.3


def logs(
    part: Annotated[str | None, typer.Argument(help="kafka, api, code-server, ...")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Last lines to show first.")] = 100,
    home: Annotated[Path | None, typer.Option(help="Directory of all local state.")] = None,
) -> None:
    """Show the end of the logs; without a name of every part, each line with its name."""
    files = _files(StackHome(load_settings(home).home), part)
    followed = {name: Followed(path) for name, path in files.items()}
    prefix = len(files) > 1
    for name, path in files.items():
        for line in tail(path, lines).splitlines():
            _show(name, line, prefix=prefix)
    while follow:
        for name, log in followed.items():
            for line in log.new_lines():
                _show(name, line, prefix=prefix)
        time.sleep(_POLL_SECONDS)


class Followed:
    """New lines of a file that is rotated by renaming."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("rb")
        self._stream.seek(0, os.SEEK_END)
        self._rest = b""

    def close(self) -> None:
        self._stream.close()

    def new_lines(self) -> list[str]:
        complete = self._read(self._stream)
        if self._rotated():
            self._stream.close()
            self._stream = self._path.open("rb")
            complete += self._read(self._stream)
        return complete

    def _read(self, stream: BinaryIO) -> list[str]:
        *complete, self._rest = (self._rest + stream.read()).split(b"\n")
        return [line.decode(errors="replace") for line in complete]

    def _rotated(self) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(self._stream.fileno()).st_ino
        except FileNotFoundError:  # between the two renames of a rotation
            return False


def _files(home: StackHome, part: str | None) -> dict[str, Path]:
    found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if part is None:
        if not found:
            raise SetupError(f"no logs in {home.logs}; start the stack with `lake up`")
        return found
    if part not in found:
        known = ", ".join(found) or "none yet"
        raise SetupError(f"there is no log of {part!r} in {home.logs}; there are: {known}")
    return {part: found[part]}


def _show(name: str, line: str, *, prefix: bool) -> None:
    typer.echo(f"{name:<18} {line}" if prefix else line)
