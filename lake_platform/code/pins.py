"""Code of steps held against what is on record of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lake_platform.code.fingerprint import fingerprint
from lake_platform.code.jars import read_jar
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError, StepCodeError


@dataclass(frozen=True)
class CodeBase:
    """Where code of steps may come from: folders of JARs, and that of the definitions. `connect`:
    Spark is a server (LAKE_SPARK_REMOTE)."""

    jars: tuple[Path, ...] = ()
    definitions: Path = field(default_factory=lambda: Path("definitions"))
    connect: bool = False


NO_CODE = CodeBase()


def pinned(dataset: Dataset, base: CodeBase) -> Dataset:
    """`dataset` with the hash of each function that has none yet.

    Raises: InvalidFieldError for code that is not there, or is not what a step says it is.
    """
    if not any(step.code for step in dataset.transforms):
        return dataset
    steps = tuple(_pinned(step, base) for step in dataset.transforms)
    return replace(dataset, transforms=steps) if steps != dataset.transforms else dataset


def check_pins(dataset: Dataset, base: CodeBase) -> None:
    """Raises: StepCodeError where code of a step is not what is on record."""
    for number, step in enumerate(dataset.transforms, 1):
        if not step.code:
            continue
        try:
            _check(step, base)
        except InvalidFieldError as error:
            raise StepCodeError(
                dataset.live_table, f"{number} ({step.title})", f"{error.reason}; {error.remedy}"
            ) from error


def check_pinned(dataset: Dataset, base: CodeBase) -> None:
    """Raises: InvalidFieldError where a step does not say what its code is, or it is another."""
    for step in dataset.transforms:
        if step.code:
            _check(step, base)


def _check(step: Transform, base: CodeBase) -> None:
    if _pinned(step, base) != step:
        raise _other(step, fingerprint(base.definitions, step.function))


def _pinned(step: Transform, base: CodeBase) -> Transform:
    if step.kind == "jar":
        if step.class_name and base.connect:
            raise InvalidFieldError(
                "transforms.class_name", step.class_name, "cannot be run through Spark Connect, "
                "which reaches no classes of the server", "use functions of the JAR in SQL steps, "
                "a python step, or a session of its own (without LAKE_SPARK_REMOTE)",
            )  # fmt: skip
        read_jar(step, base.jars)
        return step
    if step.kind == "python":
        found = fingerprint(base.definitions, step.function)
        if step.sha256 and step.sha256 != found:
            raise _other(step, found)
        return replace(step, sha256=found)
    return step


def _other(step: Transform, found: str) -> InvalidFieldError:
    said = f"{step.sha256} is on record" if step.sha256 else "none is on record"
    return InvalidFieldError(
        "transforms.sha256", step.sha256,
        f"function {step.function} has the fingerprint {found}, and {said}",
        f'take it on record by lake apply or "sha256": "{found}", or put back the one of before',
    )  # fmt: skip


def changed_code(before: Dataset, after: Dataset) -> Iterator[str]:
    """What other code steps of a definition have."""
    held = {(s.kind, s.code): s for s in before.transforms if s.code}
    for number, step in enumerate(after.transforms, 1):
        was = held.get((step.kind, step.code))
        if was is not None and was.sha256 != step.sha256:
            what = "function" if step.kind == "python" else "JAR"
            yield (
                f"step {number}: {what} {step.code} is another one now (sha256 "
                f"{was.sha256[:12]}… before, {step.sha256[:12]}… now); rows of before stay as they "
                f"are, lake rebuild {after.table} makes them anew"
            )
