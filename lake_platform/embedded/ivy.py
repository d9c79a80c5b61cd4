"""Fetches jars with the Ivy that ships inside the PySpark wheel: no Maven on the user's machine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr  # writes XML, parses none  # nosec B406

from lake_platform.embedded.java import java_binary
from lake_platform.embedded.truststore import PASSWORD, write_truststore
from lake_platform.errors import RetryableError, SetupError

# [module] and [artifact] are the same word for every jar we use; `--relock` refuses others.
_PATTERN = "[organisation]--[module]--[revision].[ext]"
_TIMEOUT_SECONDS = 600.0


class RepositoryUnreachableError(RetryableError):
    """The Maven repository did not answer, or does not have a jar."""


@dataclass(frozen=True, order=True)
class Coordinate:
    """`organisation:name:revision` of one jar."""

    organisation: str
    name: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> Coordinate:
        organisation, name, revision = text.split(":")
        return cls(organisation, name, revision)

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.revision}.jar"

    def __str__(self) -> str:
        return f"{self.organisation}:{self.name}:{self.revision}"


@dataclass(frozen=True)
class Archive:
    """What a release has beside its jar."""

    of: Coordinate
    classifier: str
    ending: str


@dataclass(frozen=True)
class Ivy:
    """One way to run Ivy; all it keeps lives under `work_dir`, nothing in the user's home."""

    java_home: Path
    work_dir: Path
    environ: Mapping[str, str]

    def retrieve(
        self, wanted: Sequence[Coordinate], target: Path, *, transitive: bool = False
    ) -> dict[Coordinate, Path]:
        """Put the jars into `target`; one attempt.

        Without `transitive` exactly the `wanted` jars are asked for and no POM is read, which is
        twenty times faster than a resolution and cannot change from one day to the next.

        Raises:
            RepositoryUnreachableError: with what Ivy said about the first jar it lacks.
        """
        lines = _jar_lines(wanted, transitive=transitive)
        self._retrieve(lines, target, use_poms=transitive)
        return {_coordinate(path): path for path in sorted(target.glob("*.jar"))}

    def fetch(self, archive: Archive, target: Path) -> Path:
        """Puts it into `target`. Raises: as `retrieve`."""
        self._retrieve(_archive_line(archive), target, use_poms=False)
        of = archive.of
        return target / f"{of.organisation}--{of.name}--{of.revision}.{archive.ending}"

    def _retrieve(self, dependencies: str, target: Path, *, use_poms: bool) -> None:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        settings, module = self.work_dir / "ivysettings.xml", self.work_dir / "ivy.xml"
        settings.write_text(_settings_xml(self.work_dir / "cache", use_poms=use_poms))
        module.write_text(_module_xml(dependencies))
        command = [
            *self._java(),
            *("-jar", str(_ivy_jar()), "-settings", str(settings), "-ivy", str(module)),
            *("-confs", "default", "-retrieve", f"{target}/{_PATTERN}"),
        ]
        _run(command)

    def _java(self) -> list[str]:
        store = self.work_dir / "trust.jks"
        trust = []
        if write_truststore(store):
            trust = [
                f"-Djavax.net.ssl.trustStore={store}",
                f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
            ]
        home = f"-Duser.home={self.work_dir}"
        return [java_binary(self.java_home), home, *trust, *_proxy_flags(self.environ)]


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RepositoryUnreachableError(
            f"the Maven repository did not answer in {_TIMEOUT_SECONDS:.0f} s"
        ) from None
    # Ivy's exit code is 0 for some unresolved jars: what it says is the truth.
    if done.returncode or "UNRESOLVED" in done.stdout or "FAILED DOWNLOADS" in done.stdout:
        raise RepositoryUnreachableError(reason_of(done.stdout + done.stderr))


def reason_of(output: str) -> str:
    """The first thing that went wrong, in one line."""
    for pattern in (
        r"Server access [Ee]rror at url (\S+) \((.{0,200})",
        r"(?:module not found|not found): (\S+)",
        r":: (\S+): (?:not found|configuration not found.*)",
    ):
        if found := re.search(pattern, output):
            return ": ".join(part.strip(" )") for part in found.groups())
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "Ivy said nothing"


def _coordinate(path: Path) -> Coordinate:
    return Coordinate(*path.name.removesuffix(".jar").split("--"))


def _ivy_jar() -> Path:
    spec = importlib.util.find_spec("pyspark")
    found = sorted(Path(spec.origin).parent.glob("jars/ivy-*.jar")) if spec and spec.origin else []
    if not found:
        raise SetupError("the package pyspark with its jars is not installed; run `make setup`")
    return found[-1]


def _settings_xml(cache: Path, *, use_poms: bool) -> str:
    return (
        '<ivysettings><settings defaultResolver="central"/>'
        f"<caches defaultCacheDir={quoteattr(os.fspath(cache))}/><resolvers>"
        # Our own sha256 is checked afterwards; the repository's sha1 files would double requests.
        f'<ibiblio name="central" m2compatible="true" usepoms="{str(use_poms).lower()}" '
        'checksums=""/></resolvers></ivysettings>\n'
    )


def _jar_lines(wanted: Sequence[Coordinate], *, transitive: bool) -> str:
    conf = "default" if transitive else "default-&gt;*"
    return "".join(
        f"<dependency {_named(jar)} transitive={quoteattr(str(transitive).lower())} "
        f'conf="{conf}"/>\n'
        for jar in wanted
    )


def _archive_line(archive: Archive) -> str:
    kind, name = quoteattr(archive.ending), quoteattr(archive.of.name)
    return (
        f'<dependency {_named(archive.of)} transitive="false" conf="default-&gt;*"><artifact '
        f"name={name} type={kind} ext={kind} m:classifier={quoteattr(archive.classifier)}/>"
        "</dependency>\n"
    )


def _named(jar: Coordinate) -> str:
    return (
        f"org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} "
        f"rev={quoteattr(jar.revision)}"
    )


def _module_xml(dependencies: str) -> str:
    return (
        '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">'
        '<info organisation="lake" module="jars" revision="1"/>\n'
        '<configurations><conf name="default"/></configurations>\n'
        f"<dependencies>\n{dependencies}</dependencies></ivy-module>\n"
    )


def _proxy_flags(environ: Mapping[str, str]) -> list[str]:
    """Java does not read HTTPS_PROXY by itself."""
    url = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    proxy = urlsplit(url if "://" in url else f"http://{url}")
    if not proxy.hostname:
        return []
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 80}"]
