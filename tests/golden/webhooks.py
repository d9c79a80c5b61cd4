"""GitHub's webhook examples (npm `@octokit/webhooks-examples`), one topic for each event.

They are not part of this repository. `LAKE_TEST_WEBHOOKS` names the folder the package was unpacked
to: `npm pack @octokit/webhooks-examples@7.6.1` and `tar xf` make `package/`.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

from tests.corpora import DATA

FOLDER = Path(os.environ.get("LAKE_TEST_WEBHOOKS") or DATA / "webhooks-examples")
# Oldest server first: as a topic would have had them over the years.
_VERSIONS = ("ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35", "api.github.com")
GOLDEN = Path(__file__).with_name("webhooks.json")


def there() -> bool:
    return (FOLDER / _VERSIONS[-1] / "index.json").is_file()


@cache
def topics() -> dict[str, list[bytes]]:
    """Records by event, in the order they came."""
    found: dict[str, list[bytes]] = {}
    for version in _VERSIONS:
        for event in json.loads((FOLDER / version / "index.json").read_bytes()):
            records = found.setdefault(event["name"], [])
            records += [json.dumps(example).encode() for example in event["examples"]]
    return found


def names() -> list[str]:
    """Of the golden file, so that tests are listed (and skipped) without the data, too."""
    return sorted(json.loads(GOLDEN.read_text()))
