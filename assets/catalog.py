"""The asset `catalog/<table>`: the table in Glue, apart from the load and tried again by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from assets.jobs import RETRY_TAGS
from assets.metadata import rows_table
from assets.translator import asset_key, op_name
from lake_platform.catalog.drift import Drift
from lake_platform.catalog.service import CatalogService, Outcome
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.errors import LakeError, RetryableError
from resources.platform import PlatformResource

DRIFT, CATALOG_JOB = "drift", "catalog_job"
MARK = "mark"
# A catalog that throttles wants to be left alone for a while; the table waits for none of it.
_RETRIES = dg.RetryPolicy(
    max_retries=4, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
_DAY_MS = 86_400_000
Events = Iterator[dg.AssetMaterialization | dg.AssetCheckResult]


def catalog_asset(
    dataset: Dataset, spec: dg.AssetSpec, retries: dg.RetryPolicy = _RETRIES
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=op_name("catalog", dataset.table),
        specs=[spec],
        check_specs=[
            dg.AssetCheckSpec(
                DRIFT,
                asset=spec.key,
                description="The table's files, the metastore's schema and Glue agree on every "
                "column, partition and on how the files are read.",
            )
        ],
        retry_policy=retries,
        can_subset=True,  # the check alone changes nothing
        op_tags={"lake/topic": dataset.topic[:63]},
    )
    def catalog(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
        sync = bool(context.selected_asset_keys)
        check = bool(context.selected_asset_check_keys)
        yield from _events(dataset.table, platform, sync, check)

    return catalog


def catalog_jobs(tables: Sequence[str]) -> list[UnresolvedAssetJobDefinition]:
    """One run serves all tables that are due; there is no job over nothing."""
    if not tables:
        return []
    return [
        dg.define_asset_job(
            CATALOG_JOB,
            selection=dg.AssetSelection.assets(*(asset_key("catalog", t) for t in tables)),
            executor_def=dg.in_process_executor,
            tags=dict(RETRY_TAGS),
            description="Brings Glue to what the tables have now, and compares",
        )
    ]


def mark(record: DatasetRecord, progress: Progress, now_ms: int) -> str:
    """Another one whenever the catalog has to be looked at: after a load, a change of the
    definition, and each day (UTC), since others may change what is there."""
    where = (record.version, progress.applied_seq, progress.loaded_at, now_ms // _DAY_MS)
    return ".".join(map(str, where))


def _events(table: str, platform: PlatformResource, sync: bool, check: bool) -> Events:
    ports = platform.open_ports()
    try:
        service = platform.catalog()
        if sync:
            # Before the table is read: what is loaded meanwhile is for the next one.
            known = ports.metastore.get(table), ports.metastore.progress(table), ports.clock()
            yield _materialized(service.sync(table), mark(*known))
    except LakeError as error:
        if check:
            yield _impossible(table, error)
        raise dg.Failure(str(error), allow_retries=isinstance(error, RetryableError)) from error
    if check:
        yield _checked(table, service)


def _materialized(done: Outcome, seen: str) -> dg.AssetMaterialization:
    rows = [{**asdict(e), "changes": "; ".join(e.changes)[:1000] or "none"} for e in done.entries]
    return dg.AssetMaterialization(
        asset_key("catalog", done.table),
        description=None if rows else "nothing is loaded yet, there is no table",
        metadata={
            "catalog": dg.MetadataValue.text(done.address),
            "entries": rows_table(rows),
            "left_out": rows_table({"note": note} for note in done.notes),
            MARK: dg.MetadataValue.text(seen),
        },
    )


def _checked(table: str, service: CatalogService) -> dg.AssetCheckResult:
    try:
        found = service.check(table)
    except LakeError as error:
        return _impossible(table, error)
    return _judged(table, found, service.catalog.address)


def _judged(table: str, found: Drift | None, address: str) -> dg.AssetCheckResult:
    differences = found.differences if found else ()
    waiting = sum(d.waits for d in differences)
    wrong = len(differences) - waiting
    if found is None:
        text = "nothing is loaded yet, there is no table"
    elif wrong:
        text = f"{wrong} differences; bring Glue to the lake: lake catalog sync {table}"
    else:
        text = f"lake, metastore and {address} agree"
    if waiting:
        text += f"; {waiting} differences come with the next load"
    return _result(
        table,
        not wrong,
        text,
        {
            "differences": rows_table(asdict(d) for d in differences),
            "left_out": rows_table({"note": note} for note in (found.notes if found else ())),
        },
    )


def _impossible(table: str, error: LakeError) -> dg.AssetCheckResult:
    severe = not isinstance(error, RetryableError)
    return _result(table, False, str(error), {}, severe=severe)


def _result(
    table: str,
    passed: bool,
    text: str,
    metadata: dict[str, dg.MetadataValue],
    *,
    severe: bool = True,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset_key("catalog", table),
        check_name=DRIFT,
        passed=passed,
        metadata=metadata,
        description=text,
        severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
    )
