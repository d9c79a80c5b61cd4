"""One side of one run, in a process of its own: `python -m bench.worker <task> <json order>`.

The result is the last line of stdout, as JSON; what Spark says goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, is_dataclass, replace
from typing import Any

from bench.order import Order

_WITHOUT_US = ("bare", "stream")


def _tasks() -> dict[str, Callable[[Order], Any]]:
    from bench import dumping, loading, small, streaming

    return {
        "prepare": dumping.prepare,
        "dump": dumping.measure_dump,
        "floor": dumping.measure_floor,
        "load": loading.measure_load,
        "bare": loading.measure_bare,
        "path": streaming.measure_path,
        "stream": streaming.measure_stream,
        "small": small.measure_small,
    }


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(item) for item in result]
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def main() -> None:
    task, order = sys.argv[1], Order.from_json(sys.argv[2])
    if task in _WITHOUT_US:
        order = replace(order, class_data=False)
    result = _plain(_tasks()[task](order))
    sys.stdout.write(f"\n{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
