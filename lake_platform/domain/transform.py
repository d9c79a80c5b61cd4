"""One step between raw and table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from lake_platform.errors import InvalidFieldError, UnsupportedError


@dataclass(frozen=True, kw_only=True)
class Transform:
    """One step between raw and table. `sql`: a SELECT over the view `input`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["sql", "jar", "python"] = "sql"
    sql: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind != "sql":
            raise UnsupportedError(
                f"transforms.kind={self.kind!r}: only sql steps can be run so far; write the step "
                f"as a SELECT over the view `input`"
            )
        if not self.sql.strip():
            raise InvalidFieldError(
                "transforms.sql", self.sql, "empty", "give a SELECT over `input`"
            )
