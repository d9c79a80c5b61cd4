"""What has to be taken out of the product's hands so that nothing happens by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

from lake_platform.adapters import moving
from lake_platform.adapters.memory import systems as memory
from lake_platform.dump import dump as dump_module
from lake_platform.dump import raw_slice
from lake_platform.load import claims, unfinished
from lake_platform.maintain import cleaner as compact_log
from lake_platform.rebuild import rebuild


class _Names:
    """Nonces in a row instead of random ones."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def uuid4(self) -> Any:
        name = f"{next(self._numbers):012x}"

        class Made:
            hex = name

        return Made


class _Serial:
    """An executor that uploads one by one: a kill may fall between any two."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> _Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, act: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(act, items)


class _Quiet:
    def warning(self, *_: object, **__: object) -> None:
        pass


@contextmanager
def no_chance() -> Iterator[None]:
    names = _Names()
    with ExitStack() as stack:
        for module, name, value in (
            (dump_module, "uuid", names), (claims, "uuid", names), (memory, "uuid", names),
            (rebuild, "uuid", names), (unfinished, "uuid", names),
            (moving, "ThreadPoolExecutor", _Serial), (dump_module, "_log", _Quiet()),
            (raw_slice, "ThreadPoolExecutor", _Serial),
            (memory, "_POLL_MESSAGES", 3), (compact_log, "_KEEP_CLAIMS", 1),
        ):  # fmt: skip
            stack.enter_context(patch.object(module, name, value))
        yield
