"""The import rules of docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

_REPO = Path(__file__).parents[2]
_PACKAGES = ("lake_platform", "assets", "resources", "sensors", "bench", "definitions")
_USE_CASES = (
    "records", "sight", "raw", "dump", "evolution", "load", "ingest", "maintain", "rebuild",
)  # fmt: skip
# What each part may import of the others; `errors` and `domain` are free to all above them.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    # JARs and functions that steps run: found, proven, loaded.
    "code": {"errors", "domain"},
    "domain": {"errors"},
    # The path of a record.
    "records": {"errors", "domain"},
    "sight": {"errors", "domain", "records"},
    "raw": {"errors", "domain"},
    "dump": {"errors", "domain", "records", "raw"},
    "evolution": {"errors", "domain", "records", "sight", "raw"},
    "load": {"errors", "domain", "records", "raw", "evolution"},
    "ingest": {"errors", "domain", "dump", "load"},
    "maintain": {"errors", "domain", "raw", "load"},
    # `lake` over the API.
    "remote": {"errors", "domain", "metastore", "code"},
    "rebuild": {"errors", "domain", "raw", "evolution", "load", "metastore"},
    "metastore": {"errors", "domain", "code"},
    "alerting": {"errors", "domain"},
    "catalog": {"errors", "domain"},
    "query": {"errors", "domain", "audit"},
    "adapters": {"errors", "domain", "records", "raw", "alerting", "code"},
    # Shares no code with what it audits: no use case and no adapter of it.
    "audit": {"errors", "domain"},
    # `lake try` and the check of samples: production's use cases over records of files, read back
    # by the audit's engines.
    "trial": {
        "errors", "domain", "records", "raw", "dump", "evolution", "load", "maintain", "rebuild",
        "metastore", "audit",
    },
    "embedded": {"errors", "domain", "settings", "metastore", "adapters", "compose", *_USE_CASES},
    "step_checks": {"errors", "settings", "code", "adapters", "embedded"},
    # The composition root finds Java for its sessions.
    "compose": {
        "errors", "domain", "settings", "metastore", "adapters", "embedded", "audit", "trial",
        "alerting", "code", "step_checks",
        *_USE_CASES,
    },
    # What compose is, for those who read tables.
    "readers": {
        "errors", "domain", "settings", "metastore", "compose", "adapters", "audit", "catalog",
        "query",
    },
    "benches": {
        "errors", "domain", "settings", "metastore", "compose", "adapters", "audit", "trial",
        "code", "step_checks",
    },
    # Loads small tables for the classes they take.
    "class_data": {
        "errors", "domain", "settings", "compose", "adapters", "embedded", "benches", "trial",
    },
    "api": {
        "errors", "domain", "settings", "metastore", "compose", "benches", "trial", "alerting",
        "catalog", "readers", *_USE_CASES,
    },
    "cli": {
        "errors", "domain", "settings", "metastore", "compose", "benches", "embedded", "api",
        "audit", "trial", "alerting", "catalog", "query", "remote",
        "readers", "class_data", *_USE_CASES,
    },
    "resources": {
        "errors", "domain", "settings", "metastore", "compose", "adapters", "audit", "alerting",
        "catalog", "readers", "step_checks", *_USE_CASES,
    },
    "assets": {"errors", "domain", "metastore", "resources", "audit", "catalog", *_USE_CASES},
    "sensors": {
        "errors", "domain", "metastore", "resources", "assets", "alerting", *_USE_CASES,
    },
}  # fmt: skip
# Heavy libraries, and the only modules that may name them.
HEAVY: dict[str, tuple[str, ...]] = {
    "pyspark": (
        "lake_platform.adapters.",
        "lake_platform.compose",
        "lake_platform.benches",
        "resources.",
        "bench.",
    ),
    "py4j": ("lake_platform.adapters.",),
    "confluent_kafka": (
        "lake_platform.adapters.kafka.",
        "lake_platform.adapters.registry.",
        "lake_platform.audit.topic",
        "lake_platform.embedded.",
        "bench.",
    ),
    # The audit's engines: nothing that writes may use them.
    "duckdb": ("lake_platform.audit.", "lake_platform.query."),
    "hudi": ("lake_platform.audit.", "lake_platform.embedded.demo."),
    "obstore": ("lake_platform.adapters.storage.", "bench."),
    "boto3": ("lake_platform.adapters.",),
    "fastavro": ("lake_platform.adapters.", "lake_platform.audit.declared"),
    "dagster": ("assets.", "resources.", "sensors.", "lake_platform.definitions"),
    "sqlalchemy": ("lake_platform.metastore.", "bench.dashboard"),
    "fastapi": ("lake_platform.api.",),
    "typer": ("lake_platform.cli.", "bench."),
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in _PACKAGES[:-1]:
        for path in sorted((_REPO / package).rglob("*.py")):
            name = ".".join(path.relative_to(_REPO).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


@cache
def imported(path: Path) -> tuple[str, ...]:
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "lake_platform":
        return parts[1] if len(parts) > 1 else ""
    return parts[0] if parts[0] in _PACKAGES else ""


@pytest.mark.parametrize("part", ALLOWED)
def test_parts_import_only_what_is_below_them(part: str) -> None:
    found = [
        f"{name} imports {other}"
        for name, path in modules()
        if part_of(name) == part
        for other in imported(path)
        if (target := part_of(other)) and target != part and target not in ALLOWED[part]
    ]
    assert found == []


def test_every_part_has_a_rule() -> None:
    parts = {part_of(name) for name, _ in modules()} - {"", "bench", "definitions"}
    assert parts == set(ALLOWED)


def test_domain_needs_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "lake_platform"}
    for name, path in modules():
        if part_of(name) in {"domain", "errors"}:
            foreign = {i.split(".")[0] for i in imported(path)} - allowed
            assert foreign == set(), name


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_adapter(library: str) -> None:
    found = [
        name
        for name, path in modules()
        if any(i == library or i.startswith(f"{library}.") for i in imported(path))
        and not f"{name}.".startswith(tuple(HEAVY[library]))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("entry", "absent"),
    [
        ("lake_platform.dump.dump, lake_platform.load.load, lake_platform.maintain.cleaner, "
         "lake_platform.load.verify, lake_platform.load.checks",
         "pyspark py4j confluent_kafka obstore boto3 dagster sqlalchemy pandas"),
        ("lake_platform.audit.auditor, lake_platform.audit.tables",
         "pyspark py4j confluent_kafka obstore boto3 dagster sqlalchemy pandas duckdb hudi"),
        ("lake_platform.compose", "pyspark py4j confluent_kafka obstore boto3 dagster pandas"),
        ("lake_platform.api.app", "pyspark py4j boto3 dagster pandas"),
        ("lake_platform.cli.main", "pyspark py4j boto3 dagster pandas duckdb hudi"),
        ("lake_platform.adapters.engines", "pyspark py4j pandas"),
        ("lake_platform.definitions", "pyspark py4j confluent_kafka boto3 duckdb hudi"),
    ],
)  # fmt: skip
def test_importing_loads_no_heavy_library(entry: str, absent: str) -> None:
    code = (
        f"import sys; import {entry}; "
        f"print(' '.join(m for m in {absent.split()!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=_REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == []
