"""What the fuzzer starts from: real records where the corpora are there, else a few of our own."""

from __future__ import annotations

from dataclasses import dataclass

from tests.corpora import JSON_SUITE, TOPICS

_LINES_OF_A_TOPIC = 400

_OWN = (
    b'{"id":1,"name":"x","at":1.5e3,"o":{"a":[1,2,{"b":null}]},"t":true,"u":"\\u00e9\\ud83d\\ude00"}',
    '{"ключ":"значение 🙂","n":-0.0,"e":"","id":2}'.encode(),
    b'{"a":[[[[]]]],"b":{},"c":12345678901234567890,"d":9007199254740993}',
    b'{\n  "id" : 3,\r\n\t"text" : "a\\nb\\t\\"c\\\\",\n "list":[ ]\n}',
    b'{"order":7,"lines":[{"sku":"a","qty":2,"price":5.6},{"sku":"b","qty":1,"price":0.1}]}',
    b'{"offset":99,"tombstone":true,"reason":"x","value_bytes":"","partition":5,"value":{}}',
    b'{"id":4,"big":123456789012345678901234567890,"exact":0.1234567890123456789}',
    b"{}",
)


@dataclass(frozen=True)
class Corpus:
    """`records` are real values of one topic each; `documents` sound and unsound JSON texts."""

    topics: tuple[tuple[bytes, ...], ...]
    documents: tuple[bytes, ...]

    @property
    def records(self) -> int:
        return sum(map(len, self.topics))


def read_corpus() -> Corpus:
    topics: list[tuple[bytes, ...]] = [_OWN]
    for path in sorted(TOPICS.glob("*.json")):
        topics.append(tuple(path.read_bytes().splitlines()[:_LINES_OF_A_TOPIC]))
    suite = sorted(JSON_SUITE.glob("*.json"))
    small = [d for d in (p.read_bytes() for p in suite) if len(d) < 2_000]
    return Corpus(tuple(topics), tuple(small))
