"""What every ObjectStore promises: memory, local disk and a real S3 server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.domain.storage import ObjectStore
from lake_platform.embedded.ports import free_port
from lake_platform.errors import InvalidFieldError, StorageUnavailableError
from tests.contract.seaweed import s3_url
from tests.simulation.storage import DictStore

__all__ = ["s3_url"]


@pytest.fixture(
    params=["memory", "file", "simulation", pytest.param("s3", marks=pytest.mark.stack)]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield open_store("memory:///")
    elif request.param == "simulation":
        yield DictStore(lambda: 1_800_000_000_000)
    elif request.param == "file":
        yield open_store((tmp_path / "with space").as_uri())
    else:
        url, options = request.getfixturevalue("s3_url")
        yield open_store(f"{url}/{uuid.uuid4().hex}", options)


def keys(store: ObjectStore, prefix: str, after: str = "") -> list[str]:
    return [info.key for info in store.list(prefix, after)]


def test_put_get_and_replace(store: ObjectStore) -> None:
    store.put("a/b", b"one")
    assert store.get("a/b") == b"one"
    store.put("a/b", b"")
    assert store.get("a/b") == b""


def test_large_objects(store: ObjectStore) -> None:
    data = bytes(range(256)) * 50_000
    store.put("big", data)
    assert store.get("big") == data
    assert store.put_new("big-new", data)
    assert store.get("big-new") == data


def test_missing_is_a_key_error(store: ObjectStore) -> None:
    with pytest.raises(KeyError):
        store.get("no/such")
    assert store.head("no/such") is None
    with pytest.raises(KeyError):
        store.move("no/such", "x")


def test_put_new_takes_a_key_once(store: ObjectStore) -> None:
    assert store.put_new("k/1", b"first")
    assert not store.put_new("k/1", b"second")
    assert store.get("k/1") == b"first"
    store.put("k/2", b"x")
    assert not store.put_new("k/2", b"y")


def test_one_of_many_writers_wins(store: ObjectStore) -> None:
    for number in range(5):
        with ThreadPoolExecutor(8) as pool:
            won = list(
                pool.map(lambda n, k=number: store.put_new(f"race/{k}", b"%d" % n), range(8))
            )
        assert sum(won) == 1
        assert store.get(f"race/{number}") == b"%d" % won.index(True)


def test_list_is_in_key_order_and_after_a_key(store: ObjectStore) -> None:
    names = [f"log/{n:020d}.json" for n in range(1, 25)]
    for name in reversed(names):
        store.put(name, b"x")
    store.put("log-other/1", b"x")
    store.put("lo", b"x")
    assert keys(store, "log/") == names
    assert keys(store, "log/", names[9]) == names[10:]
    assert keys(store, "log/", names[-1]) == []
    assert keys(store, "log/", "log/00000000000000000000.json") == names
    assert keys(store, "nothing/") == []
    (info,) = list(store.list("log/", names[-2]))
    assert info.size == 1


def test_more_than_a_thousand_are_listed_whole(store: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"many/{n:05d}", b""), range(1_050)))
    assert keys(store, "many/") == [f"many/{n:05d}" for n in range(1_050)]


def test_head(store: ObjectStore) -> None:
    store.put("h", b"12345")
    info = store.head("h")
    assert info is not None
    assert (info.key, info.size) == ("h", 5)
    assert info.modified_at > 1_700_000_000_000


def test_delete_is_fine_with_keys_that_are_not_there(store: ObjectStore) -> None:
    store.put("d/1", b"x")
    store.put("d/2", b"x")
    store.delete(["d/0", "d/1", "d/3"])
    assert keys(store, "d/") == ["d/2"]
    store.delete([])


def test_move_replaces(store: ObjectStore) -> None:
    store.put("m/1", b"new")
    store.put("m/2", b"old")
    store.move("m/1", "m/2")
    assert store.get("m/2") == b"new"
    assert keys(store, "m/") == ["m/2"]


@pytest.mark.parametrize("name", ["a b", "é", "🙂", "a=b", "a%2Fb", "a+b", "a&b", "q" * 200])
def test_odd_names(store: ObjectStore, name: str) -> None:
    store.put(f"odd/{name}/x", b"1")
    assert keys(store, "odd/") == [f"odd/{name}/x"]
    assert store.get(f"odd/{name}/x") == b"1"


def test_url_is_under_the_root(store: ObjectStore) -> None:
    assert store.url("lake/t").endswith("/lake/t")
    assert store.url("a").split(":")[0] in {"memory", "file", "s3a"}


@pytest.mark.parametrize("url", ["http://x", "", "/plain/path", "ftp://x/y"])
def test_unknown_schemes_are_named(url: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        open_store(url)
    assert caught.value.field == "storage_url"


def test_a_dead_endpoint_is_an_error_in_seconds() -> None:
    options = {"endpoint": f"http://127.0.0.1:{free_port()}", "access_key_id": "x",
               "secret_access_key": "y", "region": "us-east-1"}  # fmt: skip
    dead = open_store("s3://bucket/x", options)
    with pytest.raises(StorageUnavailableError) as caught:
        dead.head("some/key")
    assert "some/key" in str(caught.value)
    assert "secret" not in str(caught.value)
