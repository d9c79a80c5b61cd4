"""By what others read the tables: entries in a catalog, and SQL. Puts adapters behind ports, as
compose does, and is imported by entrypoints only."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lake_platform import compose
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.storage import ObjectStore
from lake_platform.errors import SetupError, UnsupportedError
from lake_platform.metastore.repository import Repository
from lake_platform.settings import Settings

if TYPE_CHECKING:
    from lake_platform.catalog.service import CatalogService
    from lake_platform.query.tables import Readable


def build_catalog(
    settings: Settings,
    metastore: Repository,
    client: Callable[[str], Any] | None = None,
    store: ObjectStore | None = None,
) -> CatalogService:
    """Over Glue; nothing is asked of it yet. `client` opens boto3's for a region.

    Raises: SetupError: no region, or tables where no engine behind Glue can read them.
    """
    from lake_platform.adapters.glue.client import GlueCatalog
    from lake_platform.adapters.glue.open import open_glue
    from lake_platform.adapters.stored import stored
    from lake_platform.catalog.service import CatalogService

    root, held = settings.storage_root, store or compose.build_store(settings)
    if not root.startswith(("s3:", "file:")):
        raise SetupError(
            f"Glue: its engines read tables on S3, and these are at {root}; take LAKE_CATALOG "
            f"away, or set LAKE_STORAGE_URL to s3://bucket/folder"
        )
    region = settings.glue_region or os.environ.get("AWS_REGION", "")
    opened = client(region) if client else open_glue(region, settings.glue_endpoint_url)
    catalog = GlueCatalog(
        opened, settings.glue_database, settings.glue_catalog_id,
        create_database=settings.glue_create_database,
    )  # fmt: skip
    return CatalogService(
        metastore, lambda dataset: stored(held, dataset), catalog, root, settings.catalog
    )


def build_readable(settings: Settings, dataset: Dataset) -> Readable:
    """The table for SQL, by the audit's readers.

    Raises: SetupError, UnsupportedError, StorageUnavailableError: the storage cannot be read.
    """
    from lake_platform.audit.files import open_files
    from lake_platform.query.tables import readable

    try:
        files = open_files(settings.storage_root, settings.storage_options, os.environ)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"SQL here reads tables as the audit does: {error}; other engines: docs/query.md"
        ) from None
    return readable(dataset, files)
