"""Opens the metastore's database and brings it to the newest migration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from lake_platform.errors import InvalidFieldError, MetastoreUnavailableError, SetupError

WRITE = "lake_write"
# What the drivers say of something else at that place; they have no class of their own for it.
_FOREIGN = ("file is not a database", "already exists")
_FULL = ("database or disk is full", "No space left on device")
_BUSY_MILLISECONDS = 15_000
_MIGRATION_LOCK = 0x6C616B65  # any fixed number: two starting processes must name the same lock


def open_engine(url: str, *, make: bool = True) -> Engine:
    """An engine for SQLite (`sqlite:///path`, `sqlite://` in memory) or PostgreSQL.

    Raises:
        InvalidFieldError: another kind of database, or no URL at all.
        SetupError: the directory of a SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidFieldError(
            "metastore_url", "...", "not a database URL", "give sqlite:/// or postgresql://"
        ) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _sqlite(parsed, make)
    if kind in {"postgresql", "postgres"}:
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10},
        )
    raise InvalidFieldError(
        "metastore_url", parsed.drivername, "not supported", "use SQLite or PostgreSQL"
    )


def migrated(engine: Engine) -> bool:
    """Whether there is a metastore. Neither looks for its directory nor makes a file.

    Raises: MetastoreUnavailableError: the database does not answer.
    """
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and not Path(file).exists():
        return False
    try:
        return inspect(engine).has_table("alembic_version")
    except DBAPIError as error:
        if any(said in str(error.orig) for said in _FOREIGN):
            return True  # something is; opening it says what
        raise unavailable(engine, error) from error


def upgrade(engine: Engine) -> None:
    """Runs all migrations that are missing; safe when two processes start at once.

    Raises:
        MetastoreUnavailableError: the database does not answer.
        SetupError: it is no database, not a metastore, or made by a newer release.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.execution_options(**{WRITE: True}).begin() as connection:
            if connection.dialect.name == "postgresql":
                # SQLite's BEGIN IMMEDIATE is the same lock there.
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        if any(said in str(error.orig) for said in _FOREIGN):
            raise SetupError(
                f"metastore {shown(engine)} is not one of ours ({error.orig}); nothing was "
                f"changed, set LAKE_METASTORE_URL to a database of its own"
            ) from error
        raise unavailable(engine, error) from error
    except CommandError as error:
        raise SetupError(
            f"metastore {shown(engine)}: {error}; it was made by a newer release, install that one"
        ) from error


def unavailable(engine: Engine, error: DBAPIError) -> MetastoreUnavailableError:
    why = " ".join(str(error.orig).split())
    remedy = (
        "make space on its disk and try again, nothing was changed"
        if any(said in why for said in _FULL)
        else "a retry is safe, so try again, and check LAKE_METASTORE_URL"
    )
    return MetastoreUnavailableError(f"metastore {shown(engine)} did not answer: {why}; {remedy}")


def shown(engine: Engine) -> str:
    # Without its query too: a password may stand there as well.
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _sqlite(url: URL, make: bool) -> Engine:
    memory = url.database in (None, "", ":memory:")
    if not memory and make:
        directory = Path(str(url.database)).absolute().parent
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"metastore {url.database}: its directory cannot be made ({error}); set LAKE_HOME "
                f"or LAKE_METASTORE_URL"
            ) from None
    # A database in memory lives in its one connection; threads take turns at it.
    size: dict[str, Any] = {"pool_size": 1, "max_overflow": 0} if memory else {}
    engine = create_engine(
        url, poolclass=QueuePool, connect_args={"check_same_thread": False}, **size
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN, so DDL is transactional too
        for pragma in (
            f"busy_timeout={_BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads first and then writes fails at once when another
        # process wrote in between; IMMEDIATE waits its turn instead.
        write = connection.get_execution_options().get(WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
