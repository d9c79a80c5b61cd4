"""What a function of the definitions is made of, as one hash: its source, what of its module it
uses, and the modules of the definitions that those import. Comments outside of them do not count,
nor do other packages."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lake_platform.code.package import path_of
from lake_platform.errors import InvalidFieldError

_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SEES_ALL = frozenset(["globals", "vars", "eval", "exec", "__import__", "import_module"])


def fingerprint(directory: Path, reference: str) -> str:
    """sha256 of `module:function`.

    Raises: InvalidFieldError when it is not there, or a file of it is no Python.
    """
    module, _, name = reference.partition(":")
    found = _Parts(directory)
    found.add_function(module, name)
    digest = hashlib.sha256()
    for where, text in sorted(found.texts.items()):
        digest.update(f"{len(where)}:{where}{len(text)}:{text}".encode())
    return digest.hexdigest()


@dataclass
class _Parts:
    """`texts`: source by module, of all that counts."""

    directory: Path
    texts: dict[str, str] = field(default_factory=dict)

    def add_function(self, module: str, name: str) -> None:
        path = path_of(self.directory, module)
        text, tree = _read(path)
        if not any(isinstance(n, _DEFINING[:2]) and n.name == name for n in tree.body):
            raise InvalidFieldError(
                "transforms.function", f"{module}:{name}", f"{path} defines no function {name}",
                "name one that it defines by def, outside of any class",
            )  # fmt: skip
        used = _used(tree.body, name)
        self.texts[module] = "\n".join(_source(text, node) for node in used)
        self._add_imports(module, path, used)

    def _add_module(self, module: str, path: Path) -> None:
        text, tree = _read(path)
        self.texts[f"{module}*"] = text
        self._add_imports(module, path, tree.body)

    def _add_imports(self, module: str, path: Path, nodes: Sequence[ast.stmt]) -> None:
        package = module.split(".")
        if path.name != "__init__.py":
            package = package[:-1]
        for parent in range(1, len(package) + 1):
            self._add_if_there(".".join(package[:parent]))
        for node in (n for top in nodes for n in ast.walk(top)):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1]
                named = ".".join([*base, *(node.module or "").split(".")]).strip(".")
                self._add_if_there(named)
                for alias in node.names:
                    self._add_if_there(f"{named}.{alias.name}".strip("."))

    def _add_if_there(self, module: str) -> None:
        if not module or f"{module}*" in self.texts:
            return
        stem = self.directory.absolute().joinpath(*module.split("."))
        if stem.with_suffix(".py").is_file() or (stem / "__init__.py").is_file():
            self._add_module(module, path_of(self.directory, module))


def _read(path: Path) -> tuple[str, ast.Module]:
    try:
        text = path.read_text("utf-8")
        return text, ast.parse(text)
    except (SyntaxError, ValueError, OSError) as error:
        raise InvalidFieldError(
            "transforms.function", str(path), f"cannot be read: {error}", "mend the file"
        ) from None


def _used(body: Sequence[ast.stmt], name: str) -> list[ast.stmt]:
    """Statements of a module that `name` is made of, in their order; all of them where it can see
    all."""
    wanted, known = {name}, set[int]()
    data: set[str] = set()
    again = True
    while again:
        again = False
        for at, node in enumerate(body):
            if at in known or not (_binds(node) & wanted or _changes(node, data)):
                continue
            known.add(at)
            again = True
            names = set(_names(node))
            if names & _SEES_ALL or _star(node):
                return list(body)
            wanted |= names
            if not isinstance(node, (*_DEFINING, ast.Import, ast.ImportFrom)):
                data |= _binds(node) & wanted
    return [body[at] for at in sorted(known)]


def _binds(node: ast.stmt) -> set[str]:
    """Names that a statement of a module gives a value, or an element or attribute of."""
    if isinstance(node, _DEFINING):
        return {node.name}
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, _DEFINING):
            found.add(inner.name)
        elif isinstance(inner, ast.alias):
            found.add((inner.asname or inner.name).split(".")[0])
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
            found.add(inner.id)
        elif isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(
            inner.ctx, ast.Store | ast.Del
        ):
            found |= {n.id for n in ast.walk(inner.value) if isinstance(n, ast.Name)}
    return found


def _changes(node: ast.stmt, data: set[str]) -> bool:
    """Whether it may change a value, as in RATES.update(...)."""
    return isinstance(node, ast.Expr) and not data.isdisjoint(_names(node))


def _names(node: ast.stmt) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute) and inner.attr in _SEES_ALL:
            yield inner.attr


def _star(node: ast.stmt) -> bool:
    return any(isinstance(n, ast.alias) and n.name == "*" for n in ast.walk(node))


def _source(text: str, node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return "\n".join(line.rstrip() for line in lines)
