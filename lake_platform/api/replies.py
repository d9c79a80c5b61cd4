"""What operations answer, for the OpenAPI document: the forms of metastore/views and of the records
of the metastore. Operations that are not here answer a JSON object their description tells of."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from lake_platform.catalog.drift import Difference
from lake_platform.catalog.service import Outcome
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.decisions import Decision
from lake_platform.domain.offsets import Gap
from lake_platform.domain.progress import Progress
from lake_platform.metastore.incident import Incident
from lake_platform.metastore.unit import AuditEntry

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_ANY_OBJECT: Schema = {"type": "object"}


def _ref(model: str) -> Schema:
    return {"$ref": _REF.format(model=model)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(of: Schema) -> Schema:
    return {"anyOf": [of, {"type": "null"}]}


def _object(**properties: Schema) -> Schema:
    """All of these are there; others may come."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _of(model: type) -> Schema:
    return TypeAdapter(model).json_schema(ref_template=_REF, mode="serialization")


_DEFINITION = TypeAdapter(Dataset).json_schema(ref_template=_REF)
_SYNC = _of(Outcome)
_INCIDENT, _PROGRESS = _of(Incident), _of(Progress)
_COLUMNS = _list(_object(path=_TEXT, type=_TEXT))
_MAPPED = {"mapping": _list(_ref("MappedPath")), "summary": _TEXT}

PARTS: dict[str, Schema] = _DEFINITION.pop("$defs", {}) | _SYNC.pop("$defs", {}) | {
    "Dataset": _DEFINITION,
    "RegisteredDataset": _object(
        **_DEFINITION["properties"],
        version=_INTEGER,
        status=_TEXT,
        registered_at=_INTEGER,
    ),
    "SchemaVersion": _object(
        version=_INTEGER, status=_TEXT, columns=_COLUMNS, source_columns=_COLUMNS, changes=_TEXTS,
        created_at=_INTEGER, actor=_TEXT,
    ),
    "MappedPath": _object(source=_TEXT, path=_list(_or_null(_TEXT)), version=_INTEGER),
    "Incident": _INCIDENT,
    "Decision": _of(Decision),
    "Gap": _of(Gap),
    "AuditEntry": _of(AuditEntry),
    "CatalogSync": _SYNC,
    "Stats": _object(
        **_PROGRESS["properties"], table=_TEXT, status=_TEXT, lag_seconds=_NUMBER_OR_NULL,
        time_to_data_loss_seconds=_NUMBER_OR_NULL, pending_commits=_INTEGER, concerns=_TEXTS,
    ),
}  # fmt: skip
_DATASET = _ref("RegisteredDataset")
_SCHEMA = _or_null(_ref("SchemaVersion"))
_CHANGED_SCHEMA = _object(table=_TEXT, schema=_SCHEMA)
_ONE_INCIDENT = {
    "allOf": [_ref("Incident"), _object(possible=_ANY_OBJECT, owner=_TEXT, held=_ANY_OBJECT)]
}
_ACCEPTED = _object(table=_TEXT, accepted=_list(_ref("Gap")))
_RUN = _object(table=_TEXT, job=_TEXT, run_id=_TEXT, run_url=_TEXT)
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_STARTED = _object(job=_TEXT, run_id=_TEXT_OR_NULL, run_url=_TEXT_OR_NULL)
_T = "/datasets/{table}"
# By method and path.
REPLIES: dict[tuple[str, str], Schema] = {
    ("post", "/datasets"): {
        "allOf": [_DATASET, _object(schema=_SCHEMA, warnings=_TEXTS, **_MAPPED)]
    },
    ("get", "/datasets"): _object(
        datasets=_list(_DATASET), broken={"type": "object", "additionalProperties": _TEXT}
    ),
    ("get", _T): _DATASET,
    ("patch", _T): {"allOf": [_DATASET, _object(schema_changes=_TEXTS)]},
    ("delete", _T): _DATASET,
    **{("post", f"{_T}/{verb}"): _DATASET for verb in ("unretire", "pause", "resume")},
    ("get", f"{_T}/stats"): _ref("Stats"),
    ("get", f"{_T}/schema"): _object(table=_TEXT, schema=_SCHEMA, **_MAPPED),
    ("get", f"{_T}/schema/versions"): _object(table=_TEXT, versions=_list(_ref("SchemaVersion"))),
    ("post", f"{_T}/schema/columns"): _CHANGED_SCHEMA,
    ("patch", f"{_T}/schema/columns/{{name}}"): {"anyOf": [_CHANGED_SCHEMA, _RUN]},
    ("delete", f"{_T}/schema/columns/{{name}}"): _CHANGED_SCHEMA,
    ("get", "/incidents"): _object(incidents=_list(_ref("Incident"))),
    ("get", "/incidents/{incident_id}"): _ONE_INCIDENT,
    ("post", "/incidents/{incident_id}/resolve"): {
        "anyOf": [
            _ONE_INCIDENT, _RUN,
            _object(incident=_INTEGER, dry_run={"type": "boolean"}, would=_ANY_OBJECT),
        ]
    },
    ("get", "/decisions/{table}"): _object(table=_TEXT, decisions=_list(_ref("Decision"))),
    ("delete", "/decisions/{table}/{decision_id}"): _ref("Decision"),
    ("get", "/gaps"): _ACCEPTED,
    ("post", "/gaps"): _ACCEPTED,
    ("get", "/audit"): _object(entries=_list(_ref("AuditEntry"))),
    ("get", "/quarantine"): _object(
        quarantined={"type": "object", "additionalProperties": _INTEGER}
    ),
    ("get", "/quarantine/{table}"): _object(
        table=_TEXT, quarantined=_INTEGER, by_reason=_ANY_OBJECT, groups=_list(_ANY_OBJECT),
        objects=_list(_object(key=_TEXT, size_bytes=_INTEGER, modified_at=_INTEGER)),
        complete={"type": "boolean"},
    ),
    ("get", "/quarantine/{table}/records"): _object(table=_TEXT, records=_list(_ANY_OBJECT)),
    ("post", "/quarantine/{table}/redrive"): _STARTED,
    ("post", "/replays"): _STARTED,
    ("post", f"{_T}/rebuilds"): _RUN,
    ("post", f"{_T}/rebuilds/swap"): _RUN,
    ("post", f"{_T}/rebuilds/abort"): _RUN,
    ("get", f"{_T}/catalog"): _object(
        table=_TEXT, address=_TEXT, loaded={"type": "boolean"}, sound={"type": "boolean"},
        differences=_list(_of(Difference)), notes=_TEXTS,
    ),
    ("post", f"{_T}/catalog/sync"): _ref("CatalogSync"),
    ("get", f"{_T}/rebuilds"): _object(table=_TEXT, rebuild=_or_null(_ANY_OBJECT)),
}  # fmt: skip
