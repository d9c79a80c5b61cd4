"""What `lake schema-demo` walks through: one table, whose records change under it.

Each step sends records, if any, and gives a command, as it is typed. A step more is a line more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lake_platform.errors import KafkaUnavailableError

TABLE = TOPIC = "orders"
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """`title`: what happens, in a sentence; empty where the step before is gone on with. `refused`:
    the command says no, as it should; `said`: what it must say."""

    title: str
    command: str
    send: tuple[str, ...] = ()
    refused: bool = False
    said: str = ""


def _order(number: int, more: str) -> str:
    return f'{{"id": {number}, "region": "eu", {more}}}'


STEPS: tuple[Step, ...] = (
    Step("A topic becomes a table: columns from its first records",
         "lake datasets add --topic orders --table orders --mode upsert --primary-key id",
         send=(_order(1, '"qty": 2, "price": 9.5, "total": 123456789012345678.25'),
               _order(2, '"qty": 1, "price": 3, "state": "new", "total": 7'))),
    Step("", "lake ingest orders"),
    Step("A key nobody had before becomes a column", "lake ingest orders",
         send=(_order(3, '"qty": 5, "price": 1.25, "state": "paid", "coupon": "X1"'),)),
    Step("A longer number: the decimal column grows, older rows are read too", "lake ingest orders",
         send=(_order(4, '"qty": 1, "price": 2, "total": 1234567890123456789012.5'),)),
    Step("A field that only some records have, and one that is spelled otherwise, change nothing",
         "lake ingest orders",
         send=(_order(5, '"qty": 3, "price": 8, "State": "new"'), _order(6, '"qty": 4'))),
    Step("A text in a number column stops the table; nothing is written, nothing is lost",
         "lake ingest orders",
         send=(_order(7, '"qty": "two", "price": 4'), _order(8, '"qty": 6, "price": 5')),
         refused=True),
    Step("", "lake incidents show 1"),
    Step("Resolution rescue, first only looked at: the row comes in, the value is kept beside it",
         "lake incidents resolve 1 rescue --dry-run"),
    Step("", "lake incidents resolve 1 rescue"),
    Step("", "lake load orders"),
    Step("Resolution quarantine: the whole record waits", "lake ingest orders",
         send=(_order(9, '"qty": "three", "price": 4'),), refused=True),
    Step("", "lake incidents resolve 2 quarantine"),
    Step("", "lake load orders"),
    Step("Two changes at once, each with its own resolution: reject drops the record, counted",
         "lake ingest orders",
         send=(_order(10, '"qty": {"n": 1}, "price": 4'), _order(11, '"price": "cheap"')),
         refused=True),
    Step("", "lake incidents resolve 3 reject --column price=rescue"),
    Step("", "lake load orders"),
    Step("Resolution widen: a broken number in a column of whole ones; the table is made of raw "
         "again beside the live one, and swapped in", "lake ingest orders",
         send=(_order(12, '"qty": 1.5, "price": 4'),), refused=True),
    Step("", "lake incidents resolve 4 widen --yes"),
    Step("Resolution text: from now on any single value fits, also what was rescued before",
         "lake ingest orders", send=(_order(13, '"qty": 1, "price": "4 EUR"'),), refused=True),
    Step("", "lake incidents resolve 5 text --yes"),
    Step("Resolution json: an object in a text column; every value stays as it came",
         "lake ingest orders",
         send=(_order(14, '"qty": 1, "state": {"code": 1, "by": "x"}'),), refused=True),
    Step("", "lake incidents resolve 6 json --yes"),
    Step("A column by hand gets another name, for all rows",
         "lake schema rename orders state status --yes"),
    Step("A producer renames a key: a new column comes, and the old one stays away",
         "lake ingest orders",
         send=tuple(_order(n, f'"qty": 1, "cost": "{n - 26} EUR"') for n in (30, 31, 32))),
    Step("", "lake schema proposals orders", said="lake schema alias orders price cost"),
    Step("The proposal taken up: both keys are one column, as if they had been from the start",
         "lake schema alias orders price cost --yes"),
    Step("Resolution drop_column: nobody needs it any more", "lake ingest orders",
         send=(_order(15, '"qty": 1, "coupon": ["X1", "X2"]'),), refused=True),
    Step("", "lake incidents resolve 7 drop_column"),
    Step("", "lake load orders"),
    Step("Resolution retry: the cause is mended elsewhere, here by a rule for all that comes",
         "lake ingest orders", send=(_order(16, '"qty": 1, "total": "free"'),), refused=True),
    Step("", "lake datasets set orders on_conflict=rescue"),
    Step("", "lake incidents resolve 8 retry"),
    Step("", "lake load orders"),
    Step("A key that does not fit never stops a table: its record goes to quarantine",
         "lake ingest orders",
         send=('{"id": "seventeen", "region": "eu", "qty": 1}', _order(18, '"qty": 1'))),
    Step("A rule puts records aside", "lake datasets set orders "
         """'rules=[{"column": "qty", "min": 0, "policy": "quarantine"}]'"""),
    Step("", "lake ingest orders",
         send=(_order(19, '"qty": -1'), _order(20, '"qty": 1'))),
    Step("", "lake quarantine list orders"),
    Step("Re-drive: the rule was wrong, so the record comes back; the bad key stays",
         "lake datasets set orders rules=[]"),
    Step("", "lake quarantine redrive orders"),
    Step("", "lake quarantine redrive orders --rescued"),
    Step("Another primary key cannot be had under the rows that are there",
         """lake datasets set orders 'primary_key=["id", "region"]'""", refused=True),
    Step("Look before you leap: what it would make of the newest records; nothing is written",
         """lake preview orders --change 'primary_key=["id", "region"]'"""),
    Step("Rebuild: a table beside the live one, compared and audited; then it is swapped in",
         """lake rebuild orders --change 'primary_key=["id", "region"]' --audit --no-swap"""),
    Step("", "lake rebuild orders --yes"),
    Step("Life goes on", "lake ingest orders",
         send=('{"id": 1, "region": "us", "qty": 7, "price": 1}', _order(1, '"qty": 8'))),
    Step("Resolution new_table: these records are something else, and get a table of their own, "
         "from the same raw", "lake datasets set orders on_conflict=block"),
    Step("", "lake ingest orders",
         send=(_order(40, '"total": {"gross": 2, "net": 1}'),), refused=True),
    Step("", "lake incidents resolve 9 new_table", said="orders_2"),
    Step("", "lake load orders_2"),
    Step("", "lake datasets stats orders"),
    Step("What became of the schema, and who decided what", "lake schema history orders"),
    Step("", "lake incidents decisions orders"),
    Step("Every record is in exactly one place, counted by code that wrote none of it",
         "lake audit orders --deep", said="orders: sound (deep)"),
    Step("", "lake audit orders_2 --deep", said="orders_2: sound (deep)"),
)  # fmt: skip


def create_topic(bootstrap: str) -> None:
    """Raises: KafkaUnavailableError."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    try:
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(_SECONDS)
    except KafkaException as error:
        raise KafkaUnavailableError(f"creating topic {TOPIC!r}: {error}") from error


def send(bootstrap: str, values: Sequence[str]) -> None:
    """Returns when the broker has them. Raises: KafkaUnavailableError."""
    from confluent_kafka import Producer

    failed: list[str] = []
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 3, "linger.ms": 0})
    for value in values:
        producer.produce(
            TOPIC, value.encode(), partition=0,
            on_delivery=lambda error, _: failed.append(str(error)) if error else None,
        )  # fmt: skip
    if producer.flush(_SECONDS) or failed:
        raise KafkaUnavailableError(f"producing to {TOPIC!r}: {failed[0] if failed else 'timeout'}")
