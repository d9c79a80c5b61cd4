"""The faults the proxy can make, and which requests each can hit."""

from __future__ import annotations

from dataclasses import dataclass

READS = frozenset(["GET", "HEAD"])


@dataclass(frozen=True)
class Kind:
    """`forwarded`: the real server gets the request. `status`: what is answered instead of its
    reply, 0 for nothing (the connection is cut). `half`: half of its body, with its whole length
    announced. `delay_seconds` before anything happens. `down`: from then on the port is closed."""

    name: str
    forwarded: bool = False
    status: int = 0
    code: str = ""
    half: bool = False
    delay_seconds: float = 0.0
    conditional_only: bool = False
    down: bool = False

    def hits(self, method: str, conditional: bool) -> bool:
        if self.half and method not in READS:
            return False
        return conditional or not self.conditional_only


ERROR_500 = Kind("500", status=500, code="InternalError")
SLOW_DOWN = Kind("503 SlowDown", status=503, code="SlowDown")
FORBIDDEN = Kind("403, credentials expired", status=403, code="ExpiredToken")
CONFLICT = Kind("409 on put-if-absent", status=409, code="ConditionalRequestConflict",
                conditional_only=True)  # fmt: skip
REQUEST_LOST = Kind("connection cut before the request")
REPLY_LOST = Kind("applied, reply lost", forwarded=True)
APPLIED_500 = Kind("applied, 500 answered", forwarded=True, status=500, code="InternalError")
TRUNCATED = Kind("read cut short", forwarded=True, half=True)
SLOW = Kind("slow", forwarded=True, status=-1, delay_seconds=0.3)
SILENT = Kind("no answer", delay_seconds=3_600.0)
DOWN = Kind("connection refused", down=True)

GRID = (ERROR_500, SLOW_DOWN, FORBIDDEN, CONFLICT, REQUEST_LOST, REPLY_LOST, APPLIED_500,
        TRUNCATED, SLOW, DOWN)  # fmt: skip
