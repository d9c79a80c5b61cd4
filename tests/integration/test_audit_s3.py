"""The audit on a real S3 server says what it says on a local disk, whatever a hand did there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.files import open_files
from lake_platform.audit.report import Counts
from lake_platform.errors import TableUnreadableError
from tests.audit_support import Copy, copy_of, parquet_lab, seeded, without_spark, wrong
from tests.contract.seaweed import s3_url
from tests.integration.s3_copy import S3Copy, Server, both, put_all
from tests.support import Lab
from tests.unit.audit import test_append as append
from tests.unit.audit import test_upsert as upsert

__all__ = ["s3_url"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        lab = parquet_lab(tmp_path_factory.mktemp("told"))
        append.story(lab)
        yield lab
        lab.close()


@pytest.fixture(scope="module")
def upserted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = upsert.make(tmp_path_factory.mktemp("upserted"))
    upsert.tell(lab, seeded(7))
    yield lab
    lab.close()


@pytest.mark.parametrize("deep", [True, False])
def test_sound_data_is_sound(told: Lab, tmp_path: Path, s3_url: Server, deep: bool) -> None:
    report = both(copy_of(told, tmp_path / "c"), s3_url, deep=deep)
    assert report.verdict == "sound"
    assert report.total == Counts(records=204, raw=204, table=180, quarantined=18, dropped=6)


def test_sound_upserts_are_sound(upserted: Lab, tmp_path: Path, s3_url: Server) -> None:
    copy = upsert.copied(upserted, tmp_path / "c")
    assert both(copy, s3_url).verdict == "sound"
    assert both(copy, s3_url, deep=False).verdict == "needs --deep"


@pytest.mark.parametrize("trial", range(2 * len(append.TAMPERS)))
def test_hands_on_append_data(told: Lab, tmp_path: Path, s3_url: Server, trial: int) -> None:
    copy = copy_of(told, tmp_path / "c")
    expected = append.TAMPERS[trial % len(append.TAMPERS)](copy, seeded(trial))
    report = both(copy, s3_url)
    assert (report.verdict, wrong(report.total)) == ("unsound", expected)
    # Without --deep a changed raw object shows by its size, a record of it by nothing.
    raw = expected.raw_lost or expected.raw_duplicated or expected.raw_alien
    report = both(copy, s3_url, deep=False)
    assert wrong(report.total) == (Counts() if raw else expected)
    assert bool(report.problems) == bool(raw)


@pytest.mark.parametrize("trial", range(len(upsert.TAMPERS)))
def test_hands_on_upsert_data(upserted: Lab, tmp_path: Path, s3_url: Server, trial: int) -> None:
    copy = upsert.copied(upserted, tmp_path / "c")
    expected = upsert.TAMPERS[trial](copy, seeded(trial))
    report = both(copy, s3_url)
    assert (report.verdict, wrong(report.total)) == ("unsound", expected)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [("lake/t/*.parquet", "lost"), ("raw/**/*.gz", "raw_lost"), ("quarantine/**/*.gz", "lost")],
)
def test_an_object_that_is_gone_is_found(
    told: Lab, tmp_path: Path, s3_url: Server, pattern: str, place: str
) -> None:
    copy = copy_of(told, tmp_path / "c")
    copy.files(pattern)[0].unlink()
    report = both(copy, s3_url)
    assert getattr(report.total, place) > 1
    assert bool(report.problems) == pattern.startswith("raw")
    assert not both(copy, s3_url, deep=False).sound


@pytest.mark.parametrize("deep", [True, False])
def test_an_object_that_was_added_is_found(
    told: Lab, tmp_path: Path, s3_url: Server, deep: bool
) -> None:
    copy = copy_of(told, tmp_path / "c")
    table = copy.files("lake/t/*.parquet")[0]
    table.with_name("more.parquet").write_bytes(table.read_bytes())
    assert both(copy, s3_url, deep=deep).total.duplicated > 1
    table.with_name("more.parquet").unlink()
    raw = copy.files("raw/**/*.gz")[0]
    raw.with_name(raw.name.replace(".json.gz", "x.json.gz")).write_bytes(raw.read_bytes())
    assert bool(both(copy, s3_url, deep=deep).notes) == deep  # an orphan of raw, nothing wrong


def test_an_object_that_cannot_be_read_is_named(told: Lab, tmp_path: Path, s3_url: Server) -> None:
    copy = copy_of(told, tmp_path / "c")
    for pattern in ("raw/**/*.gz", "quarantine/**/*.gz"):
        file = copy.files(pattern)[0]
        file.write_bytes(file.read_bytes()[:-20])
        assert file.name in " ".join(p.text for p in both(copy, s3_url).problems)
    table = copy.files("lake/t/*.parquet")[0]
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(TableUnreadableError, match=table.name):
        S3Copy(told, copy.root, server=s3_url).audit()


def test_steps_that_leave_records_out(tmp_path: Path, s3_url: Server) -> None:
    with pytest.MonkeyPatch.context() as patch:
        without_spark(patch)
        lab = parquet_lab(tmp_path / "lab", transforms=append.FILTER)
        append.story(lab)
        for deep in (True, False):
            report = both(Copy(lab, lab.home / "storage"), s3_url, deep=deep)
            assert (report.sound, report.total.filtered) == (True, 36)
        lab.close()


def test_files_are_listed_and_read_as_on_the_disk(tmp_path: Path, s3_url: Server) -> None:
    names = [f"many/{n:04d}" for n in range(1_050)]
    names += [f"odd/{n}/x" for n in ("a b", "é", "🙂", "a=b", "a%2Fb", "a+b", "a&b", "q" * 200)]
    for name in [*names, "many-more/x"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = open_files(put_all(tmp_path, s3_url), s3_url[1], {})
    local = open_files(tmp_path.as_uri(), {}, {})
    assert [f.key for f in files.list("many/")] == names[:1_050]
    assert list(files.list("odd/")) == list(local.list("odd/"))
    for file in files.list("odd/"):
        assert files.read(file.key).decode() == file.key
        assert files.size(file.key) == file.size == len(file.key.encode())
    assert list(files.list("nothing/")) == list(files.list("man/")) == []
    assert files.size("nothing") is files.size("many") is None
    with pytest.raises(KeyError):
        files.read("nothing")


def test_options_may_come_from_the_environment(s3_url: Server) -> None:
    url, options = s3_url
    folder = f"{url}/{uuid.uuid4().hex}"
    open_store(folder, options).put("a/b", b"here")
    environ = {f"AWS_{name.upper()}": value for name, value in options.items()}
    assert open_files(folder, {}, environ).read("a/b") == b"here"
    wrong = {**environ, "AWS_ENDPOINT": "http://127.0.0.1:1"}
    assert open_files(folder, options, wrong).read("a/b") == b"here"
