"""Opening and migrating the database, and one that does not answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from lake_platform.domain.dataset import Dataset
from lake_platform.errors import (
    InvalidFieldError,
    LakeError,
    MetastoreUnavailableError,
    NoMetastoreError,
    SetupError,
)
from lake_platform.metastore.engine import open_engine, upgrade
from lake_platform.metastore.repository import open_repository

_STARTER = """
import sys
from lake_platform.metastore.repository import open_repository
open_repository(sys.argv[1], lambda: 1).ping()
"""
_HEAVY = ("dagster", "pyspark", "confluent_kafka", "boto3")


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    started = [
        subprocess.Popen([sys.executable, "-c", _STARTER, url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in started:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint


def test_import_loads_no_heavy_library() -> None:
    check = (
        "import sys, lake_platform.metastore.service; "
        f"found = [m for m in {_HEAVY!r} if m in sys.modules]; assert not found, found"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)


def test_newer_database_is_refused(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'm.db'}")
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match="newer release"):
        upgrade(engine)
    engine.dispose()


def test_unknown_databases_are_refused() -> None:
    for url in ("mysql://u:secret@h/d", "nonsense"):
        with pytest.raises(InvalidFieldError) as caught:
            open_engine(url)
        assert "secret" not in str(caught.value)


def test_unreachable_database_is_named_without_its_password() -> None:
    for url in (
        "postgresql://user:canary@127.0.0.1:1/lake",
        "postgresql://127.0.0.1:1/lake?user=u&password=canary",
    ):
        with pytest.raises(MetastoreUnavailableError, match=r"127\.0\.0\.1") as caught:
            upgrade(open_engine(url))
        assert "canary" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and they are not a database at all")
    before = path.read_bytes()
    with pytest.raises(SetupError, match=r"notes\.txt.*not one of ours.*LAKE_METASTORE_URL"):
        open_repository(f"sqlite:///{path}", lambda: 1)
    assert path.read_bytes() == before


def test_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE datasets (x TEXT)"))
    with pytest.raises(SetupError, match="not one of ours"):
        open_repository(url, lambda: 1)
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    assert tables == ["datasets"]
    engine.dispose()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="LAKE_HOME"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'm.db'}")


@pytest.mark.parametrize("left", [None, b"", b"other"])
def test_who_only_reads_makes_no_metastore(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "home" / "m.db"
    url = f"sqlite:///{path}"
    if left is not None:
        path.parent.mkdir()
        path.write_bytes(left)
        if left:
            path.unlink()
            engine = open_engine(url)
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE other (x TEXT)"))
            engine.dispose()
    with pytest.raises(NoMetastoreError, match=r"no metastore sqlite:////.*m\.db yet.*LAKE_HOME"):
        open_repository(url, lambda: 1, make=False)
    assert path.parent.exists() == (left is not None)
    if not left:
        open_repository(url, lambda: 1).close()
        open_repository(url, lambda: 1, make=False).close()


def test_broken_definition_is_reported_and_left_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    repository = open_repository(url, lambda: 1)
    for name in ("good", "bad"):
        repository.register(Dataset(topic="t", table=name), None, "ann")
    other = open_engine(url)
    with other.begin() as connection:
        connection.execute(
            text("UPDATE datasets SET definition = '{\"topic\": \"t\"}' WHERE table_name = 'bad'")
        )
    broken: dict[str, LakeError] = {}
    found = repository.list_all(on_broken=broken.__setitem__)
    assert [r.dataset.table for r in found] == ["good"]
    assert "table" in str(broken["bad"])
    with pytest.raises(InvalidFieldError):
        repository.list_all()
    other.dispose()
    repository.close()
