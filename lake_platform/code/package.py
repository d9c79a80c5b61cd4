"""The folder of definitions as a Python package: its files, and modules that they share."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import itertools
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from lake_platform.domain.transform import DEFINITIONS
from lake_platform.errors import InvalidFieldError

_NUMBERS = itertools.count(1)


class Package:
    """Modules are loaded once, from their source, under a name that no other package has; so an
    edit of a file is seen by the next package. `with` takes them out of Python again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.name = f"{DEFINITIONS}_{next(_NUMBERS)}"
        root = ModuleType(self.name)
        root.__path__ = [str(self.directory)]
        sys.modules[self.name] = root
        _FINDER.folders[self.name] = self.directory
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *_: object) -> None:
        _FINDER.folders.pop(self.name, None)
        for name in [n for n in sys.modules if n == self.name or n.startswith(f"{self.name}.")]:
            del sys.modules[name]

    def module(self, name: str) -> ModuleType:
        """`name` with dots, seen from the folder. Raises: what the module raises."""
        # What a file prints is no part of our answer, which may be JSON.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(f"{self.name}.{name}")

    def file(self, path: Path) -> ModuleType:
        """The module of a file in the folder, whatever it is called. Raises: what it raises."""
        parts = path.absolute().relative_to(self.directory).with_suffix("").parts
        if all(part.isidentifier() for part in parts):
            return self.module(".".join(parts))
        name = f"{self.name}.{re.sub(r'[^0-9A-Za-z_]', '_', '_'.join(parts))}"
        spec = importlib.util.spec_from_file_location(name, path, loader=_Fresh(name, str(path)))
        assert spec is not None and spec.loader is not None  # noqa: S101 - a loader is given
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
        return module

    def modules(self) -> list[ModuleType]:
        """Those that are loaded."""
        return [m for n, m in list(sys.modules.items()) if n.startswith(f"{self.name}.")]


def path_of(directory: Path, module: str) -> Path:
    """The file of a module of the definitions.

    Raises: InvalidFieldError when there is none, or it is a link to somewhere else.
    """
    parts = module.split(".")
    stem = directory.absolute().joinpath(*parts)
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            if not path.resolve().is_relative_to(directory.resolve()):
                raise InvalidFieldError(
                    "transforms.function", module, f"{path} is a link to a file outside of the "
                    f"definitions", "put the file itself there",
                )  # fmt: skip
            return path
    raise InvalidFieldError(
        "transforms.function", module, f"there is no {stem.with_suffix('.py')}",
        "name a module of the definitions (LAKE_DEFINITIONS_DIR), with dots for folders",
    )  # fmt: skip


class _Fresh(SourceFileLoader):
    """Never from a .pyc: an edit of the same length within a second would not be seen."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _Finder(MetaPathFinder):
    """Finds modules of packages; folders need no __init__.py."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None  # noqa: ARG002
    ) -> ModuleSpec | None:  # fmt: skip
        root, _, rest = fullname.partition(".")
        directory = self.folders.get(root)
        if directory is None or not rest:
            return None
        stem = directory.joinpath(*rest.split("."))
        for file, folder in ((stem / "__init__.py", True), (stem.with_suffix(".py"), False)):
            if file.is_file():
                where = [str(stem)] if folder else None
                return importlib.util.spec_from_file_location(
                    fullname, file, loader=_Fresh(fullname, str(file)),
                    submodule_search_locations=where,
                )  # fmt: skip
        if stem.is_dir():
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(stem)]
            return spec
        return None


_FINDER = _Finder()
