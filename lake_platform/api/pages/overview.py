"""The page of all datasets: what it shows of each, filtered, sorted and paged by its address."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Query as QueryParameter
from fastapi import Request
from fastapi.responses import HTMLResponse

from lake_platform.api.pages.charts import sparklines
from lake_platform.api.pages.render import page
from lake_platform.api.pages.routing import pages
from lake_platform.api.pages.session import PATH, Viewer
from lake_platform.api.parts import PartsOf
from lake_platform.domain.dataset import Status
from lake_platform.metastore.firing import fires
from lake_platform.metastore.overview import Standing

router = pages()
PER_PAGE = 50
_SOON_SECONDS = 86_400.0
_FASTEST_SECONDS = 5
_MOST_ALERTS = 10
Trouble = Literal["blocked", "late", "failing", "losing", "quarantine"]
Sort = Literal[
    "table", "status", "lag", "backlog", "records", "quarantined", "rescued", "loss", "incidents"
]


@dataclass(frozen=True, slots=True)
class Shown:
    """A dataset as a line. `troubles`: what somebody should look at."""

    standing: Standing
    lag: float
    loss: float | None
    troubles: tuple[Trouble, ...]

    @property
    def late(self) -> bool:
        return "late" in self.troubles


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says; `every` so many seconds the browser loads it again, 0: never."""

    q: str = ""
    status: str = ""
    domain: str = ""
    trouble: str = ""
    sort: Sort = "table"
    desc: bool = False
    every: int = 0
    page: int = 1

    @property
    def filtered(self) -> bool:
        return bool(self.q or self.status or self.domain or self.trouble)

    def address(self, **changes: Any) -> str:
        """The same list with something else; back on its first page, unless that is asked."""
        wanted = replace(self, **({"page": 1} | changes))
        said = {
            name: int(value) if isinstance(value, bool) else value
            for name in Asked.__dataclass_fields__
            if (value := getattr(wanted, name)) != Asked.__dataclass_fields__[name].default
        }
        return f"{PATH}?{urlencode(said)}" if said else PATH

    def sorted_by(self, name: Sort) -> str:
        """By a column; once more turns it round. Numbers begin with the greatest."""
        first = name not in ("table", "status", "loss")
        return self.address(sort=name, desc=not self.desc if self.sort == name else first)


def shown(standing: Standing, now: int) -> Shown:
    lag, loss = standing.lag_seconds(now), standing.time_to_data_loss_seconds(now)
    progress, status = standing.progress, standing.status
    found: dict[Trouble, bool] = {
        "blocked": status is Status.BLOCKED or standing.open_incidents > 0,
        "late": lag > standing.max_lag_seconds and status is not Status.PAUSED,
        "failing": bool(progress.last_error),
        "losing": loss is not None and loss < _SOON_SECONDS,
        "quarantine": progress.quarantined > 0,
    }
    alive = status is not Status.RETIRED
    troubles = tuple(name for name, holds in found.items() if holds and alive)
    return Shown(standing, lag, loss, troubles)


_KEYS: dict[Sort, Callable[[Shown], Any]] = {
    "table": lambda s: s.standing.table,
    "status": lambda s: s.standing.status.value,
    "lag": lambda s: s.lag / s.standing.max_lag_seconds,
    "backlog": lambda s: (s.standing.progress.backlog, s.standing.progress.waiting),
    "records": lambda s: s.standing.progress.records,
    "quarantined": lambda s: s.standing.progress.quarantined,
    "rescued": lambda s: s.standing.progress.rescued,
    "loss": lambda s: math.inf if s.loss is None else s.loss,
    "incidents": lambda s: s.standing.open_incidents,
}


def chosen(lines: Sequence[Shown], asked: Asked) -> list[Shown]:
    """Those the filters let through, in order; of equal ones by name. Retired ones only where
    their status is asked for."""
    text = asked.q.casefold().strip()

    def wanted(line: Shown) -> bool:
        s = line.standing
        status = s.status.value == asked.status if asked.status else s.status is not Status.RETIRED
        found = not text or any(text in w.casefold() for w in (s.table, s.topic, s.domain, s.owner))
        domain = not asked.domain or s.domain == asked.domain
        trouble = not asked.trouble or asked.trouble in line.troubles
        return status and found and domain and trouble

    return sorted(filter(wanted, lines), key=_KEYS[asked.sort], reverse=asked.desc)


@router.get("")
def overview(
    request: Request,
    who: Viewer,
    parts: PartsOf,
    q: Annotated[str, QueryParameter(max_length=249)] = "",
    status: Literal["", "REGISTERED", "BOOTSTRAPPING", "LIVE", "BLOCKED", "PAUSED", "RETIRED"] = "",
    domain: Annotated[str, QueryParameter(max_length=249)] = "",
    trouble: Literal["", "blocked", "late", "failing", "losing", "quarantine"] = "",
    sort: Sort = "table",
    desc: bool = False,
    every: Annotated[int, QueryParameter(ge=0, le=3_600)] = 0,
    number: Annotated[int, QueryParameter(alias="page", ge=1, le=1_000_000)] = 1,
) -> HTMLResponse:
    store, now = parts.metastore, parts.clock()
    standings = store.standings()
    known = [shown(standing, now) for standing in standings]
    alive = [line for line in known if line.standing.status is not Status.RETIRED]
    asked = Asked(q, status, domain, trouble, sort, desc, every, number)
    found = chosen(known, asked)
    alerts = fires(store, standings, now)
    last = max(1, math.ceil(len(found) / PER_PAGE))
    asked = replace(asked, page=min(number, last))
    here = found[(asked.page - 1) * PER_PAGE : asked.page * PER_PAGE]
    samples = store.samples([line.standing.table for line in here])
    made = page(
        request, "overview.html", who,
        lines=[(s, sparklines(s.standing, samples[s.standing.table], now)) for s in here],
        looked_at=now, alerts=alerts[:_MOST_ALERTS],
        more_alerts=max(0, len(alerts) - _MOST_ALERTS),
        critical=sum(one.alert.severity == "critical" for one in alerts),
        asked=asked, found=len(found), last=last, all=len(alive),
        first=(asked.page - 1) * PER_PAGE + 1,
        domains=sorted({line.standing.domain for line in known}),
        statuses=[status.value for status in Status],
        backlog=sum(line.standing.progress.backlog for line in alive),
        waiting=sum(line.standing.progress.waiting for line in alive),
        incidents=sum(line.standing.open_incidents for line in alive),
        troubled={name: sum(name in line.troubles for line in alive) for name in _TROUBLES},
    )  # fmt: skip
    if every:
        made.headers["Refresh"] = str(max(every, _FASTEST_SECONDS))
    return made


_TROUBLES: dict[Trouble, str] = {
    "blocked": "Blocked", "late": "Late", "failing": "Failing", "losing": "Data loss within a day",
    "quarantine": "With quarantine",
}  # fmt: skip
