"""What a trial found, as one JSON document (its form: docs/try.md)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from isal import igzip

from lake_platform.domain.layout import quarantine_prefix
from lake_platform.domain.mapping import paths_of, shown
from lake_platform.errors import LakeError
from lake_platform.metastore.model import dataset_to_dict
from lake_platform.metastore.views import mapped_view, schema_view
from lake_platform.trial.lineage import origins, source_of
from lake_platform.trial.rows import Rows
from lake_platform.trial.steps import error_view
from lake_platform.trial.trial import CheckResult, Trial

APPLIED, ERROR, WAITS = 0, 1, 3
_NO_ROWS = ("not one valid JSON document", "not a JSON object")


@dataclass
class Report:
    """`errors` end in exit code 1, whatever the steps say."""

    trial: Trial
    rows: Rows = field(default_factory=Rows)
    checks: list[CheckResult] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all is in the table, 3 something waits, 1 an error; a refused operation is neither."""
        if self.errors or self.trial.registration is None:
            return ERROR
        ran = [s for s in self.trial.steps if s.outcome not in {"done", "refused", "nothing"}]
        if ran and ran[-1].outcome == "error":
            return ERROR
        return WAITS if self.trial.waits else APPLIED

    def to_dict(self) -> dict[str, Any]:
        trial = self.trial
        registered = trial.registration
        known = registered is not None
        return {
            "exit_code": self.exit_code,
            "status": trial.bench.metastore.get(trial.table).status.value if known else None,
            "definition": dataset_to_dict(trial.dataset if known else trial.wanted),
            "warnings": [*(registered.warnings if registered else ()), *notes(trial)],
            "schema": _schema(trial) if known else None,
            "steps": [step.to_dict() for step in trial.steps],
            "quarantine": list(quarantined(trial)) if known else [],
            "incidents": _incidents(trial) if known else [],
            "checks": [_check(c) for c in self.checks],
            "rows": list(self.rows.rows),
            "rows_total": self.rows.total,
            "rows_read_by": self.rows.read_by,
            "errors": [error_view(e) for e in self.errors],
        }


def finish(trial: Trial, limit: int | None) -> Report:
    """Reads the table and runs the checks; what cannot be read is an error of the report."""
    report = Report(trial)
    try:
        report.rows = trial.rows(limit)
    except Exception as error:  # the last boundary: what was found so far must be shown
        report.errors.append(error)
        return report
    if report.rows.error:
        report.errors.append(report.rows.error)
    report.checks = trial.checks(report.rows)
    failed = [c for c in report.checks if _counts(c)]
    report.errors += [c.error or CheckFailedError(c.name, c.message) for c in failed]
    return report


class CheckFailedError(LakeError):
    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"check {check} failed: {message}")


def _counts(check: CheckResult) -> bool:
    """In production a broken rule is a warning too."""
    return not check.passed and (check.name != "rules" or check.error is not None)


def _check(check: CheckResult) -> dict[str, Any]:
    return {"name": check.name, "passed": check.passed, "message": check.message}


def _schema(trial: Trial) -> dict[str, Any] | None:
    """Each column with the path in the record it comes from, or columns where a step makes it of
    several; null where that is not known. `mapping`: the paths that did not just keep their name
    and type."""
    view = schema_view(trial.schema)
    if view is None:
        return None
    steps = [step.sql for step in trial.dataset.transforms if step.kind == "sql"]
    code = any(step.makes_frame for step in trial.dataset.transforms)
    roots = [f.name for f in trial.schema.source.fields] if trial.schema else []
    known = {} if code else origins(steps, roots)
    paths = {c: shown(p) for c, p in paths_of(trial.schema.source)} if trial.schema else {}
    sources = {c["path"]: source_of(c["path"], known) for c in view["columns"]}
    told = trial.bench.metastore.mapping(trial.table)
    return {
        "version": view["version"],
        "columns": [
            {
                "source": (own := sources[c["path"]]) and paths.get(own, own),
                "column": c["path"],
                "type": c["type"],
            }
            for c in view["columns"]
        ],
        "source": view["source_columns"],
        "mapping": [mapped_view(m, version) for version, m in told if m.rules],
    }


def _incidents(trial: Trial) -> list[dict[str, Any]]:
    found = trial.bench.metastore.incidents(trial.table)
    return [asdict(i) for i in reversed(found)]


def notes(trial: Trial) -> list[str]:
    """What a newcomer stumbles over."""
    found = [f"{s.source} holds no record" for s in trial.steps if s.kind == "batch" and not s.sent]
    for step in trial.steps:
        bad = sum(r.quarantined.get(reason, 0) for r in step.loads for reason in _NO_ROWS)
        if step.kind == "batch" and step.sent and bad == step.sent:
            found.append(
                f"no line of {step.source} is a JSON object: one record a line is read; a JSON "
                f"array or a document over many lines becomes that by jq -c '.[]' or jq -c ."
            )
    return found


def quarantined(trial: Trial) -> Iterator[dict[str, Any]]:
    """Every record in quarantine, with the line it came from, in Kafka's order."""
    store = trial.bench.ports.store
    found = []
    for info in store.list(quarantine_prefix(trial.table)):
        for line in igzip.decompress(store.get(info.key)).split(b"\n")[:-1]:
            found.append(_quarantined(trial, line))
    return iter(sorted(found, key=lambda r: (r["partition"], r["offset"])))


class _Raw(msgspec.Struct):
    partition: int
    offset: int
    key: str | None = None
    key_bytes: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    value_bytes: str | None = None
    tombstone: bool = False


class _Line(msgspec.Struct):
    reason: str
    record: _Raw


def _quarantined(trial: Trial, line: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(line, type=_Line)
    raw = found.record
    origin = trial.feed.origin(raw.partition, raw.offset)
    value = b64decode(raw.value_bytes) if raw.value_bytes is not None else bytes(raw.value)
    try:
        text, packed = value.decode(), None
    except UnicodeDecodeError:
        text, packed = None, raw.value_bytes
    return {
        "reason": found.reason,
        "source": origin[0] if origin else None,
        "line": origin[1] if origin else None,
        "partition": raw.partition,
        "offset": raw.offset,
        "key": raw.key,
        "key_bytes": raw.key_bytes,
        "tombstone": raw.tombstone,
        "value_text": None if raw.tombstone else text,
        "value_bytes": packed,
    }
