"""What becomes of the documents of the JSON parsing test suite, through the real dump and load.

`python -m tests.json_suite docs/reliability-input.md` writes the table of those the standard leaves
to the parser; `tests/unit/records/test_json_suite.py` holds that the document agrees.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lake_platform.errors import SchemaBlockedError
from tests.corpora import JSON_SUITE
from tests.support import Lab, infer_now

BEGIN, END = "<!-- i_ documents: begin -->", "<!-- i_ documents: end -->"
_WHY = {
    "row, array<decimal": "a sound number; a decimal holds it exactly",
    "row, array<json>": "a sound number that no number type holds: a column of its own text",
    "quarantine: not valid UTF-8": "no text all readers agree on; others put U+FFFD in its place",
    "quarantine: not one valid JSON document": "a lone surrogate or a byte order mark: no text all "
    "readers agree on",
    "quarantine: number out of range of a double": "readers make Infinity of it",
    "quarantine: nested deeper than 100": "readers give up at different depths",
}


@dataclass(frozen=True)
class Verdict:
    """`what`: `row, <column type>`, `incident` or `quarantine: <reason>`."""

    name: str
    what: str

    @property
    def why(self) -> str:
        return next(why for what, why in _WHY.items() if self.what.startswith(what))


def files(prefix: str) -> list[Path]:
    return sorted(JSON_SUITE.glob(f"{prefix}_*.json"))


def wrapped(document: bytes) -> bytes:
    """As a member: most of the documents are arrays or scalars, no records by themselves."""
    return b'{"a":' + document + b"}"


def verdict(lab: Lab, table: str, name: str, value: bytes) -> Verdict:
    """Dumps and loads `value` alone into a table of its own."""
    lab.register(table, max_quarantine_ratio=1.0)
    lab.send({"id": 1}, table=table)
    infer_now(lab, table)
    lab.send(value, table=table)
    try:
        lab.cycle(table)
    except SchemaBlockedError:
        return Verdict(name, "incident")
    held = lab.quarantined(table)
    if held:
        return Verdict(name, f"quarantine: {held[0]['reason']}")
    schema = lab.metastore.active_schema(table)
    assert schema is not None
    assert len(lab.rows(table)) == 2
    column = schema.source.get("a")
    return Verdict(name, f"row, {column.type if column else 'no column yet'}")


def left_open() -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="lake-suite-") as home:
        lab = Lab(Path(home))
        try:
            return [
                verdict(lab, f"t{n}", path.name, wrapped(path.read_bytes()))
                for n, path in enumerate(files("i"))
            ]
        finally:
            lab.close()


def table(verdicts: list[Verdict]) -> str:
    lines = ["| document | verdict | why |", "|---|---|---|"]
    for v in verdicts:
        name = v.name.removeprefix("i_").removesuffix(".json")
        lines.append(f"| `{name}` | {v.what.replace('<', '&lt;')} | {v.why} |")
    return "\n".join(lines)


def with_table(document: str, text: str) -> str:
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_table(target.read_text(), table(left_open())))
