"""A lab's storage on a real S3 server: what is on the disk, put there object by object."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lake_platform.adapters.storage.object_store import open_store
from lake_platform.audit.files import ArrowFiles, open_files
from lake_platform.audit.report import AuditReport
from tests.audit_support import Copy

Server = tuple[str, dict[str, str]]
"""The URL of a bucket, and the options of the client: of the fixture `s3_url`."""


def put_all(root: Path, server: Server) -> str:
    """Puts every file below `root` under a folder of its own; the folder's URL."""
    url, options = server
    target = f"{url}/{uuid.uuid4().hex}"
    store = open_store(target, options)
    files = [path for path in root.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(8) as pool:
        put = pool.map(lambda p: store.put(str(p.relative_to(root)), p.read_bytes()), files)
        assert len(list(put)) == len(files)
    return target


@dataclass
class S3Copy(Copy):
    """A copy of which each audit reads the S3 server, as it is on the disk at that moment."""

    server: Server = field(kw_only=True)

    def open(self) -> ArrowFiles:
        return open_files(put_all(self.root, self.server), self.server[1], {})


def both(copy: Copy, server: Server, *, deep: bool = True) -> AuditReport:
    """The audit's report of a copy, which must be the same on the disk and on the S3 server."""
    remote = S3Copy(copy.lab, copy.root, copy.reader, server=server)
    local = copy.audit(deep=deep)
    assert remote.audit(deep=deep) == local
    return local
