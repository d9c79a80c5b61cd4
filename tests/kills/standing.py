"""Where a killed process stands still: before or after one call of a port or of the JVM's files.

The parent writes the point into the file `armed`, waits for `standing`, and kills, or lets the
process go on by `released`. The same files serve Python and the JVM (StandingFileSystem.java).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_platform.errors import StorageUnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_JAVA = Path(__file__).with_name("StandingFileSystem.java")
_CLASS = "lake.kills.StandingFileSystem"
_READERS = {"kafka": "reader", "part": "part-reader"}


class Gate:
    """Every call of every port passes here; the one that is armed stands still."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._chosen, self._seen = "", 0
        self._lost = ""

    def passes(self, port: str, when: str, call: str, what: str) -> None:
        if self._lost and (when, call, what) == ("before", "get", self._lost):
            self._lost = ""
            self._stand()
        elif self._reached(port, when, call, what):
            self._stand()

    def loses_reply(self, port: str, call: str, what: str) -> bool:
        """The reply of this call is lost; the process stands where it looks what became of it."""
        if not self._reached(port, "lost", call, what):
            return False
        self._lost = what
        return True

    def _reached(self, port: str, when: str, call: str, what: str) -> bool:
        try:
            armed = (self._home / "armed").read_text()
        except FileNotFoundError:
            return False
        if armed != self._chosen:
            self._chosen, self._seen = armed, 0
        *chosen, number, pattern = armed.split(" ", 4)
        if chosen != [port, when, call] or not re.search(pattern, what):
            return False
        self._seen += 1
        return self._seen == int(number)

    def _stand(self) -> None:
        (self._home / "standing").touch()
        while not (self._home / "released").exists():
            time.sleep(0.005)


class Standing:
    """A port whose calls pass the gate, with their first argument."""

    def __init__(self, port: str, inner: Any, gate: Gate) -> None:
        self._port, self._inner, self._gate = port, inner, gate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._passing(name, found) if callable(found) else found

    def _passing(self, name: str, found: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            what = str(args[0]) if args else ""
            self._gate.passes(self._port, "before", name, what)
            result = found(*args, **kwargs)
            if self._gate.loses_reply(self._port, name, what):
                raise StorageUnavailableError(f"the reply of {name} of {what!r} was lost")
            self._gate.passes(self._port, "after", name, what)
            return result

        return call


class StandingStore(Standing):
    """Deletes one by one, so that a kill can come between two."""

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._passing("delete", lambda k: self._inner.delete([k]))(key)


class StandingKafka(Standing):
    @contextmanager
    def open(self, *args: Any) -> Iterator[Any]:
        with self._inner.open(*args) as reader:
            yield StandingReader(_READERS[self._port], reader, self._gate)


class StandingReader(Standing):
    """Stands after a poll that gave records."""

    def poll(self) -> Any:
        messages = self._inner.poll()
        if messages:
            self._gate.passes(self._port, "after", "poll", "records")
        return messages


def stand_in_jvm(session: SparkSession) -> None:
    """Puts our file system in the place of the JVM's local one.

    It goes into Hadoop's cache of file systems, where everything in this JVM finds it; no copy of
    the configuration has to know the class.
    """
    jvm: Any = session._jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(_JAVA.read_text())
    loader = compiler.getClassLoader()
    config = jvm.org.apache.hadoop.conf.Configuration(session._jsc.hadoopConfiguration())
    config.setClassLoader(loader)
    config.set("fs.file.impl", _CLASS)
    file_system = jvm.org.apache.hadoop.fs.FileSystem
    file_system.closeAll()
    found = file_system.get(jvm.java.net.URI("file:///"), config).getClass().getName()
    if found != _CLASS:
        raise AssertionError(f"the JVM works with {found}, not with {_CLASS}")
