"""The JSON parsing test suite through the real dump and load.

Accepted means: sound JSON is never called unsound. As a member of an object it stays as it is, byte
for byte; by itself it is a row when it is an object, and else quarantined as `not a JSON object`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.domain.quality import Reason
from lake_platform.raw import log as raw_log
from tests.corpora import JSON_SUITE
from tests.json_suite import BEGIN, END, files, left_open, table, wrapped
from tests.support import Lab

pytestmark = pytest.mark.skipif(not JSON_SUITE.is_dir(), reason="the JSON test suite is not here")
_DOC = Path(__file__).parents[3] / "docs/reliability-input.md"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.register(max_quarantine_ratio=1.0)
    yield lab
    lab.close()


def raw(lab: Lab, values: list[bytes]) -> list[bytes]:
    """The raw line of each value, after a dump of all of them."""
    lab.send_all(values)
    lab.dump()
    objects = [o for c in raw_log.commits_after(lab.store, "t", 0) for o in c.objects]
    lines = b"".join(gzip.decompress(lab.store.get(o.key)) for o in objects).split(b"\n")[:-1]
    assert len(lines) == len(values)
    return lines


def test_95_sound_documents_are_accepted(lab: Lab) -> None:
    documents = [p.read_bytes() for p in files("y")]
    assert len(documents) == 95
    lines = raw(lab, [wrapped(d) for d in documents])
    for line, document in zip(lines, documents, strict=True):
        flat = document.replace(b"\n", b" ").replace(b"\r", b" ")
        assert line.endswith(b',"value":{"a":' + flat + b"}}")
        assert json.loads(line)["value"]["a"] == json.loads(document)


def test_95_sound_documents_by_themselves_are_rows_or_no_objects(lab: Lab) -> None:
    documents = [p.read_bytes() for p in files("y")]
    lines = [json.loads(line) for line in raw(lab, documents)]
    for line, document in zip(lines, documents, strict=True):
        if isinstance(json.loads(document), dict):
            assert "reason" not in line
        else:
            assert line["reason"] == Reason.NOT_OBJECT


@pytest.mark.parametrize("inside", [True, False], ids=["as a member", "by itself"])
def test_188_unsound_documents_are_quarantined(lab: Lab, inside: bool) -> None:
    documents = [p.read_bytes() for p in files("n")]
    assert len(documents) == 188
    values = [wrapped(d) if inside else d for d in documents]
    for value in values:
        lab.send({"id": 1})
        lab.send(value, reason="any")
    (done,) = lab.cycle()
    assert sum(done.quarantined.values()) == 188
    held = {r["record"]["offset"]: r for r in lab.quarantined()}
    for number, value in enumerate(values):
        record = held[2 * number + 1]
        assert base64.b64decode(record["record"]["value_bytes"]) == value
        assert record["reason"] not in {None, Reason.NOT_OBJECT}
    assert len(lab.rows()) == 188


def test_the_documents_the_standard_leaves_open_are_in_the_docs_as_decided() -> None:
    verdicts = left_open()
    assert len(verdicts) == 35
    written = _DOC.read_text().split(BEGIN)[1].split(END)[0].strip()
    assert written == table(verdicts), "run `python -m tests.json_suite docs/reliability-input.md`"
