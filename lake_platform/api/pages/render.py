"""Templates to HTML. Whatever a template shows is escaped, and what is not printable is spelled
out: no record can draw or hide anything."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lake_platform.api.pages.session import Session, Sessions

_HERE = Path(__file__).parent
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_LONGEST = 4_000
_RUN = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
STATIC = {name: (_HERE / "static" / name).read_bytes() for name in ("style.css", "icon.svg")}
_DIGEST = hashlib.sha256(b"".join(STATIC.values())).hexdigest()[:12]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages work on besides `Parts`; `dagster`: where people reach its UI."""

    sessions: Sessions
    dagster: str


def page(
    request: Request,
    name: str,
    who: Session | None,
    code: HTTPStatus = HTTPStatus.OK,
    **values: Any,
) -> HTMLResponse:
    run = request.query_params.get("run", "")
    text = _ENVIRONMENT.get_template(name).render(
        values,
        who=who,
        now=request.app.state.parts.clock(),
        dagster=request.app.state.pages.dagster,
        static=_DIGEST,
        done=_DONE.get(request.query_params.get("done", ""), ""),
        run=run if _RUN.match(run) else "",
    )
    return HTMLResponse(text, code)


def plain(value: object) -> object:
    """Jinja shows every value through this, and escapes the result."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in value)


def _spelled(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) < 0x20 else f"\\u{ord(char):04x}"


def number(value: float) -> str:
    """With separators; small fractions keep two digits."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if 0 < abs(value) < 10 else f"{value:.0f}"


def counted(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def size(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def duration(seconds: float) -> str:
    """Its two greatest units."""
    if math.isinf(seconds):
        return "no limit"
    if 0 < seconds < 10:
        return f"{seconds:.2g} s"
    left, parts = int(seconds), list[str]()
    for unit, name in _UNITS:
        count, left = divmod(left, unit)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
        if len(parts) == 2:
            break
    return " ".join(p for p in parts if not p.startswith("0 ")) or "0 s"


def moment(milliseconds: int) -> Markup:
    """UTC, for people and machines; nothing for 0."""
    if not milliseconds:
        return Markup('<span class="none">never</span>')
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return Markup("{}").format(milliseconds)
    shown = at.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}Z">{}</time>').format(shown.replace(" ", "T"), shown)


def as_json(value: object) -> str:
    """One value for people, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … {len(text):,} characters"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=plain,
    )  # fmt: skip
    filters: dict[str, Callable[..., Any]] = {
        "number": number, "counted": counted, "size": size, "duration": duration, "moment": moment,
        "json": as_json,
        "path": lambda text: quote(text, safe=""),
    }  # fmt: skip
    made.filters |= filters
    return made


_ENVIRONMENT = _environment()
_DONE = {
    "paused": "The dataset is paused: both phases stop.",
    "resumed": "The dataset goes on; loads are tried again.",
    "retired": "The dataset is retired; its files and its history stay.",
    "unretired": "The dataset was taken back; it goes on where it stood.",
    "resolved": "The incident is resolved; the next load goes on with what was held.",
    "remaking": "A Dagster run makes the table anew of its raw and resolves the incident.",
    "redriven": "A Dagster run gives the records in quarantine another try.",
    "nothing": "Kafka has all offsets that were not read.",
    "unfit": "None of them can become rows: they are no JSON documents, or their raw is gone.",
    "replaying": "A Dagster run applies the windows again.",
    "gaps": "The offsets that Kafka no longer has are given up; the next dump goes on.",
}
