"""One step between raw and table: SQL, code of a JAR, or a function of the definitions."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from lake_platform.errors import InvalidFieldError

DEFINITIONS = "lake_definitions"
"""What modules of the definitions are known by in Python, with a number and their own name."""
_OWN: Mapping[str, frozenset[str]] = {
    "sql": frozenset(["sql"]),
    "jar": frozenset(["jar", "sha256", "functions", "class_name"]),
    "python": frozenset(["function", "sha256"]),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLASS = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_LOADED = re.compile(rf"{DEFINITIONS}_\d+\.")


@dataclass(frozen=True, kw_only=True)
class Transform:
    """One step between raw and table.

    Attributes:
        kind: `sql`, `jar` or `python`.
        name: what errors call it.
        sql: a SELECT over the view `input`.
        jar: file in one of the folders of LAKE_TRANSFORM_JARS.
        sha256: of the JAR's bytes; of a function, of its source (filled in when it is registered).
        functions: of a JAR: names that later SQL has for its classes, which implement Spark's UDF0
            to UDF22.
        class_name: of a JAR: a java.util.function.Function<Dataset<Row>, Dataset<Row>>.
        function: `module:function` of the definitions, DataFrame -> DataFrame.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["sql", "jar", "python"] = "sql"
    sql: str = ""
    name: str = ""
    jar: str = ""
    sha256: str = ""
    functions: Mapping[str, str] = field(default_factory=dict)
    class_name: str = ""
    function: str = ""

    @classmethod
    def python(cls, function: Callable[[Any], Any], *, name: str = "") -> Transform:
        """A step that is a function of a module in the definitions."""
        return cls(kind="python", function=_reference(function), name=name)

    def __post_init__(self) -> None:
        if self.kind not in _OWN:
            raise InvalidFieldError(
                "transforms.kind", self.kind, "no kind of step", "give sql, jar or python"
            )
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if value and one.name not in _OWN[self.kind] | {"kind", "name"}:
                raise InvalidFieldError(
                    f"transforms.{one.name}", value, f"means nothing in a step of kind {self.kind}",
                    f"leave it out, or give kind={_kind_of(one.name)}",
                )  # fmt: skip
        {"sql": self._check_sql, "jar": self._check_jar, "python": self._check_python}[self.kind]()

    def _check_sql(self) -> None:
        if not self.sql.strip():
            raise InvalidFieldError(
                "transforms.sql", self.sql, "empty", "give a SELECT over `input`"
            )

    def _check_jar(self) -> None:
        if not self.jar.strip():
            raise InvalidFieldError("transforms.jar", self.jar, "empty", "name a file, as udfs.jar")
        if not (self.functions or self.class_name):
            raise InvalidFieldError(
                "transforms.functions", {}, f"nothing of {self.jar} is used",
                'name functions of it, as {"masked": "com.example.Mask"}, or a class_name',
            )  # fmt: skip
        for name in self.functions:
            if not _NAME.fullmatch(name):
                raise InvalidFieldError(
                    "transforms.functions", name, "not a name SQL can call", "give letters, digits "
                    "and _",
                )  # fmt: skip
        folded = [name.casefold() for name in self.functions]
        twin = next((name for name in self.functions if folded.count(name.casefold()) > 1), None)
        if twin is not None:
            raise InvalidFieldError(
                "transforms.functions", twin, "is there twice: case does not count", "name it once"
            )
        classes = [*self.functions.values(), *([self.class_name] if self.class_name else [])]
        for one in classes:
            if not _CLASS.fullmatch(one):
                raise InvalidFieldError(
                    "transforms.class_name" if one == self.class_name else "transforms.functions",
                    one, "not the name of a class", "write it as com.example.Mask",
                )  # fmt: skip

    def _check_python(self) -> None:
        if not _FUNCTION.fullmatch(self.function):
            raise InvalidFieldError(
                "transforms.function", self.function, "not of the form module:function",
                "write it as steps.orders:tidy, for tidy in steps/orders.py of the definitions",
            )  # fmt: skip

    @property
    def makes_frame(self) -> bool:
        """Whether it is code that makes the rows, and no SQL tells what of."""
        return self.kind == "python" or bool(self.class_name)

    @property
    def title(self) -> str:
        """What it is called where it has no name; empty for SQL."""
        return self.name or self.function or self.class_name or self.jar

    @property
    def code(self) -> str:
        """What is pinned by `sha256`; empty for SQL."""
        return self.function or self.jar

    @property
    def said(self) -> tuple[str, Any]:
        """Field and value that an error about it is of."""
        named = ("function", "class_name", "functions", "sql")
        found = next(n for n in named if getattr(self, n) or n == "sql")
        return f"transforms.{found}", getattr(self, found)

    def plain(self) -> dict[str, Any]:
        """As JSON has it: without what its kind has no use for."""
        shown = {"kind", "name", *_OWN[self.kind]}
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in shown}
        if self.kind == "jar":
            found = {n: v for n, v in found.items() if v or n not in ("functions", "class_name")}
            if "functions" in found:
                found["functions"] = dict(self.functions)
        return found


def _kind_of(name: str) -> str:
    return next(kind for kind, own in _OWN.items() if name in own)


def _reference(function: Callable[[Any], Any]) -> str:
    module = str(getattr(function, "__module__", "") or "")
    name = str(getattr(function, "__qualname__", "") or "")
    if not _NAME.fullmatch(name) or not module:
        raise InvalidFieldError(
            "transforms.function", name or repr(function), "not a function of a module",
            "give one that a module of the definitions defines by def",
        )  # fmt: skip
    return f"{_LOADED.sub('', module, count=1)}:{name}"
