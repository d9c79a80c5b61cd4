"""The audit's files on a local disk, and where it finds S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.files import open_files
from lake_platform.audit.place import s3_place
from lake_platform.audit.sources import File
from lake_platform.errors import (
    InvalidFieldError,
    SetupError,
    StorageUnavailableError,
    UnsupportedError,
)
from tests.audit_support import local_files


def test_files_are_listed_in_key_order_with_their_sizes(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    for name in ("a/c", "a/b/d", "a/b-e", "ab/x"):
        store.put(name, name.encode())
    files = local_files(tmp_path)
    assert list(files.list("a/")) == [File("a/b-e", 5), File("a/b/d", 5), File("a/c", 3)]
    assert [f.key for f in files.list("a/")] == [i.key for i in store.list("a/")]
    assert list(files.list("b/")) == []
    assert (files.size("a/c"), files.size("a"), files.size("a/c/x")) == (3, None, None)
    assert files.read("a/b/d") == b"a/b/d"
    with pytest.raises(KeyError):
        files.read("a/x")


def test_what_a_killed_put_left_is_no_file(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put("log/1.json", b"x")
    (tmp_path / "log/2.json#1").write_bytes(b"half")
    assert [i.key for i in store.list("log/")] == ["log/1.json"]
    assert [f.key for f in local_files(tmp_path).list("log/")] == ["log/1.json"]


def test_a_disk_that_refuses_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    files = local_files(tmp_path)
    with pytest.raises(StorageUnavailableError, match=r"file:.*cannot read 'a/'"):
        list(files.list("a/"))
    (tmp_path / "b").mkdir()
    with pytest.raises(StorageUnavailableError, match=r"cannot read 'b'.*is a directory"):
        files.read("b")


@pytest.mark.parametrize("url", ["gs://b/x", "az://b/x", "memory:///"])
def test_other_storage_is_refused_with_a_way_out(url: str) -> None:
    with pytest.raises(UnsupportedError, match="reads file: and s3: only; copy or mount"):
        open_files(url, {}, {})


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no storage at .*check LAKE_STORAGE_URL"):
        local_files(tmp_path / "gone")


def test_options_win_over_the_environment_and_may_be_spelled_both_ways() -> None:
    options = {"AWS_ENDPOINT_URL": "http://one:1/", "region": "eu-west-1"}
    environ = {
        "AWS_ENDPOINT_URL": "http://two:2", "AWS_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s", "AWS_PAGER": "", "HOME": "/h",
    }  # fmt: skip
    place = s3_place("s3://b/some/folder/", options, environ)
    assert (place.root, place.server) == ("s3://b/some/folder", "http://one:1")
    assert place.options == {
        "aws_endpoint": "http://one:1", "aws_region": "eu-west-1", "aws_access_key_id": "k",
        "aws_secret_access_key": "s", "aws_allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
    }  # fmt: skip


def test_without_any_option_it_is_aws_and_a_role() -> None:
    place = s3_place("s3://b", {"conditional_put": "etag"}, {"AWS_DEFAULT_REGION": "eu-north-1"})
    assert (place.base, place.server, place.key_id) == ("b", "AWS in eu-north-1", "")
    assert place.options == {
        "aws_region": "eu-north-1",
        "aws_virtual_hosted_style_request": "false",
    }
    assert s3_place("s3://b", {"skip_signature": "true"}, {}).unsigned


def test_a_url_without_bucket_is_said() -> None:
    with pytest.raises(InvalidFieldError, match="s3://bucket/folder"):
        s3_place("s3:///x", {}, {})
