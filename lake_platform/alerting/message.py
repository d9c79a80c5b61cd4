"""What a receiver gets: one message for all there is to tell at a time, in three forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from lake_platform.domain.telling import Notice

_MOST_LINES = 20
_LONGEST_LINE = 600
_MARKS = {"fires": "🔴", "still fires": "🔴", "is over": "✅"}


@dataclass(frozen=True, slots=True)
class Message:
    """`notices` is empty for a test message."""

    notices: Sequence[Notice]
    at: int

    @property
    def title(self) -> str:
        if not self.notices:
            return "test message: alerts of the lake platform arrive here"
        first, more = self.notices[0], len(self.notices) - 1
        whose = f" {first.alert.table}" if first.alert.table else ""
        rest = f", and {more} more" if more else ""
        # It becomes a header of an e-mail.
        return " ".join(f"{first.alert.name}{whose} {first.what}{rest}".split())

    def lines(self) -> list[str]:
        found = [_line(n) for n in self.notices[:_MOST_LINES]]
        left = len(self.notices) - len(found)
        return found + ([f"and {left} more: lake alerts list"] if left else [])

    def plain(self) -> dict[str, Any]:
        """For programs; every field is there always. Times are ISO 8601, UTC."""
        return {
            "version": 1,
            "test": not self.notices,
            "title": self.title,
            "at": _time(self.at),
            "alerts": [
                {
                    "key": n.alert.key,
                    "status": n.what,
                    "alert": n.alert.name,
                    "severity": n.alert.severity,
                    "table": n.alert.table,
                    "subject": n.alert.subject,
                    "text": n.alert.text,
                    "remedy": n.alert.remedy,
                    "since": _time(n.since),
                }
                for n in self.notices
            ],
        }


class Receiver(Protocol):
    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> str:
        """What it answered. Raises: DeliveryError, within some 20 seconds."""
        ...


def _line(notice: Notice) -> str:
    alert = notice.alert
    said = f"{_MARKS[notice.what]} {alert.name} {notice.what}: {' '.join(alert.text.split())}"
    if len(said) > _LONGEST_LINE:
        said = said[: _LONGEST_LINE - 1] + "…"
    if notice.what == "is over":
        return f"{said} (since {_time(notice.since)})"
    return f"{said} (since {_time(notice.since)}; {alert.remedy})"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
