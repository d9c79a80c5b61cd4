"""Dataset -> raw, lake and quarantine assets with their checks. Composes, names nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import structlog
from pydantic import Field

from assets.audit import audit_check
from assets.catalog import catalog_asset
from assets.checks import check_specs
from assets.metadata import LinesOf
from assets.phases import Events, asked, dump_events, load_events
from assets.translator import Translator, groups, op_name
from assets.windows import Windows
from lake_platform.domain.catalog import CatalogKind, catalogued
from lake_platform.domain.dataset import Dataset, Status
from lake_platform.domain.described import Line
from lake_platform.domain.progress import DatasetRecord, SchemaVersion
from lake_platform.metastore.schedules import check_schedule
from resources.platform import PlatformResource

_log = structlog.get_logger(__name__)
SchemaOf = Callable[[str], SchemaVersion | None]


class LoadConfig(dg.Config):
    """Run config of a lake asset, under `ops: {lake__<table>: {config: …}}`. `replay` applies the
    chosen windows again."""

    replay: bool = Field(
        default=False,
        description="Apply the chosen windows again. In the run config it stands here, under "
        "ops: {lake__<table>: {config: {replay: true}}}, not at the root.",
    )


@dataclass(slots=True)
class Built:
    """The assets of all datasets that could be built, and why the others could not; `dumped` are
    the tables with raw of their own, `catalogued` those that Glue is to have."""

    assets: list[dg.AssetsDefinition | dg.AssetSpec] = field(default_factory=list)
    audits: list[dg.AssetChecksDefinition] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    dumped: list[str] = field(default_factory=list)
    catalogued: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    windows: Windows = Windows()  # noqa: RUF009 - frozen

    def skip(self, table: str, error: Exception) -> None:
        _log.error("definition skipped", dataset=table, error=str(error))
        self.skipped[table] = f"{type(error).__name__}: {error}"


def build_assets(
    records: Iterable[DatasetRecord],
    schema_of: SchemaOf,
    storage_root: str,
    lines_of: LinesOf = lambda _: (),
    catalog: CatalogKind = "none",
    windows: Windows = Windows(),  # noqa: B008 - frozen
) -> Built:
    """A definition that cannot be built is reported and left out; the others are built."""
    built = Built(windows=windows)
    alive = [r for r in records if r.status != Status.RETIRED]
    translator = Translator(storage_root, groups(alive))
    partitions = windows.partitions()  # one object: Dagster compares those of related assets
    for record in alive:
        table = record.dataset.table
        try:
            assets = _build(
                record.dataset, translator, partitions, schema_of(table), lines_of(table)
            )
            audit = audit_check(record.dataset)
            if catalogued(record.dataset, catalog):
                spec = translator.spec(record.dataset, "catalog", None, None)
                assets.append(catalog_asset(record.dataset, spec))
        except Exception as error:  # whatever is wrong with one definition, the others go on
            built.skip(table, error)
            continue
        built.assets += assets
        built.audits.append(audit)
        built.tables.append(table)
        if catalogued(record.dataset, catalog):
            built.catalogued.append(table)
        if not record.dataset.raw_from:
            built.dumped.append(table)
    return built


def _build(
    dataset: Dataset,
    translator: Translator,
    partitions: dg.PartitionsDefinition[str],
    schema: SchemaVersion | None,
    lines: Sequence[Line],
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    check_schedule(dataset)
    raw = (
        []  # another dataset's, which dumps it
        if dataset.raw_from
        else [_raw_asset(dataset, translator.spec(dataset, "raw", schema, partitions, lines))]
    )
    return [
        *raw,
        _lake_asset(dataset, translator.spec(dataset, "lake", schema, partitions, lines)),
        # Never run by itself: loading the table fills it.
        translator.spec(dataset, "quarantine", schema, partitions),
    ]


def _raw_asset(dataset: Dataset, spec: dg.AssetSpec) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=op_name("raw", dataset.table),
        specs=[spec],
        partitions_def=spec.partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags=_op_tags(dataset),
    )
    def raw(context: dg.AssetExecutionContext, platform: PlatformResource) -> Events:
        yield from dump_events(dataset, platform, asked(context, "raw"), context.log)

    return raw


def _lake_asset(dataset: Dataset, spec: dg.AssetSpec) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=op_name("lake", dataset.table),
        specs=[spec],
        check_specs=check_specs(dataset),
        partitions_def=spec.partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,  # a run may leave the costly checks out
        op_tags=_op_tags(dataset),
    )
    def lake(
        context: dg.AssetExecutionContext, config: LoadConfig, platform: PlatformResource
    ) -> Events:
        want = asked(context, "lake")
        yield from load_events(dataset, platform, want, context.log, replay=config.replay)

    return lake


def _op_tags(dataset: Dataset) -> Mapping[str, str]:
    return {"lake/topic": dataset.topic[:63]}
