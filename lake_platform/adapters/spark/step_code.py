"""Code of steps: proven, loaded into this process, and put into the Spark session that runs it.

What is loaded is kept by its hash, so a file that changes later changes nothing that runs.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot.tokenizer_core import TokenType

from lake_platform.adapters.spark.clauses import tokens_of
from lake_platform.adapters.spark.errors import short
from lake_platform.code.fingerprint import fingerprint
from lake_platform.code.jars import read_jar
from lake_platform.code.package import Package
from lake_platform.code.pins import CodeBase, check_pinned, check_pins
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.transform import Transform
from lake_platform.errors import InvalidFieldError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FrameFunction = Callable[["DataFrame"], "DataFrame"]


class CodeError(Exception):
    """Code that is what is on record, but cannot be run here."""


@dataclass
class _Loaded:
    """`jars`: copies of our own, by sha256. `functions`: by fingerprint and name."""

    jars: dict[str, Path] = field(default_factory=dict)
    functions: dict[tuple[str, str], FrameFunction] = field(default_factory=dict)


@dataclass
class _InSession:
    """What one Spark application has: class loaders by sha256 of their JAR, and the bytes of each
    class that its executors know."""

    loaders: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)


_LOADED = _Loaded()
_SESSIONS: dict[str, _InSession] = {}


def load_code(dataset: Dataset, base: CodeBase) -> None:
    """Proves the code of all steps and loads it; `steps.run` needs it.

    Raises: StepCodeError where it is not what is on record.
    """
    check_pins(dataset, base)
    _load(dataset, base)


def load_asked(dataset: Dataset, base: CodeBase) -> None:
    """The same for a definition that is looked at. Raises: InvalidFieldError."""
    check_pinned(dataset, base)
    _load(dataset, base)


def _load(dataset: Dataset, base: CodeBase) -> None:
    for step in dataset.transforms:
        if step.kind == "jar" and step.sha256 not in _LOADED.jars:
            path = _folder() / f"{step.sha256}.jar"
            path.write_bytes(read_jar(step, base.jars))
            _LOADED.jars[step.sha256] = path
        elif step.kind == "python" and (step.sha256, step.function) not in _LOADED.functions:
            _LOADED.functions[step.sha256, step.function] = _loaded_function(step, base)


@cache
def _folder() -> Path:
    """Where nobody else writes."""
    folder = Path(tempfile.mkdtemp(prefix="lake-steps-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _loaded_function(step: Transform, base: CodeBase) -> FrameFunction:
    from pyspark import cloudpickle

    module, _, name = step.function.partition(":")
    package = Package(base.definitions)  # its modules may import others when the function runs
    try:
        found: FrameFunction = getattr(package.module(module), name)
    except (Exception, SystemExit) as error:  # somebody's code: whatever it raises is its error
        package.__exit__()
        raise InvalidFieldError(
            "transforms.function", step.function, f"its module raises {type(error).__name__}: "
            f"{error}", "mend the module",
        ) from error  # fmt: skip
    if fingerprint(base.definitions, step.function) != step.sha256:
        package.__exit__()
        raise InvalidFieldError(
            "transforms.function", step.function, "is being changed just now", "try again"
        )
    for loaded in package.modules():
        # Executors have no definitions.
        cloudpickle.register_pickle_by_value(loaded)  # type: ignore[no-untyped-call]
    return found


def frame_function(spark: SparkSession, step: Transform) -> FrameFunction:
    """The code of a step that makes rows. Raises: CodeError."""
    if step.kind == "python":
        try:
            return _LOADED.functions[step.sha256, step.function]
        except KeyError:
            raise CodeError("its function was not loaded") from None
    if not hasattr(spark, "_jsparkSession"):
        raise CodeError(
            "classes that make a whole DataFrame need a session of its own; this one is Spark "
            "Connect (LAKE_SPARK_REMOTE)"
        )
    return _java_function(spark, step)


def functions(spark: SparkSession, steps: Sequence[Transform]) -> Mapping[str, str]:
    """Names that SQL behind these steps may call, in lower case, and what the session calls them:
    each version of a JAR has names of its own. Raises: CodeError."""
    found: dict[str, str] = {}
    for step in steps:
        for name, class_name in step.functions.items():
            found[name.casefold()] = own = f"lake_{step.sha256[:8]}_{name}"
            _register(spark, step, own, class_name)
    return found


def renamed(sql: str, names: Mapping[str, str]) -> str:
    """`sql` with calls of these functions under the names that the session has for them."""
    if not names:
        return sql
    tokens = tokens_of(sql)
    for at in reversed(range(len(tokens) - 1)):
        own = names.get(tokens[at].text.casefold())
        behind_dot = at > 0 and tokens[at - 1].token_type == TokenType.DOT
        if own and tokens[at + 1].token_type == TokenType.L_PAREN and not behind_dot:
            sql = sql[: tokens[at].start] + own + sql[tokens[at].end + 1 :]
    return sql


def clashes(spark: SparkSession, dataset: Dataset) -> bool:
    """Whether the session knows other classes by the names that JARs of this dataset have: its
    executors would run those."""
    jars = {s.sha256 for s in dataset.transforms if s.kind == "jar"}
    if not jars:
        return False
    held = _SESSIONS.get(_id(spark), _InSession())
    jars -= held.loaders.keys()
    return any(
        held.classes.get(name, crc) != crc
        for sha256 in jars
        for name, crc in _classes(_LOADED.jars[sha256]).items()
    )


def _classes(jar: Path) -> dict[str, int]:
    try:
        with zipfile.ZipFile(jar) as opened:
            return {i.filename: i.CRC for i in opened.infolist() if i.filename.endswith(".class")}
    except zipfile.BadZipFile:
        return {}  # Java says what is wrong with it


def _id(spark: SparkSession) -> str:
    if hasattr(spark, "_jsparkSession"):
        return str(spark.sparkContext.applicationId)
    return str(spark.client._session_id)


def _added(spark: SparkSession, step: Transform) -> Any:
    """The loader of the JAR's classes; None through Spark Connect."""
    if step.sha256 not in _LOADED.jars:
        raise CodeError("its JAR was not loaded")
    held = _SESSIONS.setdefault(_id(spark), _InSession())
    if step.sha256 in held.loaders:
        return held.loaders[step.sha256]
    path = _LOADED.jars[step.sha256]
    classes = _classes(path)
    if any(held.classes.get(name, crc) != crc for name, crc in classes.items()):
        raise CodeError("this Spark application has run another version of its JAR; start anew")
    loader = None
    if hasattr(spark, "_jsparkSession"):
        spark.sparkContext._jsc.addJar(str(path))
        loader = _class_loader(spark, path)
    else:
        spark.addArtifacts(str(path))
    held.loaders[step.sha256] = loader
    held.classes |= classes
    return loader


def _class_loader(spark: SparkSession, path: Path) -> Any:
    jvm: Any = spark._jvm
    gateway: Any = spark.sparkContext._gateway
    urls = gateway.new_array(jvm.java.net.URL, 1)
    urls[0] = jvm.java.io.File(str(path)).toURI().toURL()
    return jvm.java.net.URLClassLoader(urls, _thread(spark).getContextClassLoader())


def _thread(spark: SparkSession) -> Any:
    jvm: Any = spark._jvm
    return jvm.java.lang.Thread.currentThread()


def _register(spark: SparkSession, step: Transform, own: str, class_name: str) -> None:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        loader = _added(spark, step)
        if loader is None:
            spark.udf.registerJavaFunction(own, class_name)
            return
        thread = _thread(spark)
        before = thread.getContextClassLoader()
        thread.setContextClassLoader(loader)
        try:
            spark.udf.registerJavaFunction(own, class_name)
        finally:
            thread.setContextClassLoader(before)
    except (PySparkException, Py4JError) as error:
        raise CodeError(f"class {class_name} of {step.jar}: {short(error)}") from error


def _java_function(spark: SparkSession, step: Transform) -> FrameFunction:
    from py4j.protocol import Py4JError
    from pyspark.sql import DataFrame

    wanted = "a java.util.function.Function<Dataset<Row>, Dataset<Row>> with a public constructor"

    def is_a(name: str, made: Any) -> bool:
        classes = spark._jsparkSession.getClass().getClassLoader()
        return hasattr(made, "_target_id") and bool(classes.loadClass(name).isInstance(made))

    def run(frame: DataFrame) -> DataFrame:
        made = found.apply(frame._jdf)
        if not is_a("org.apache.spark.sql.Dataset", made):
            raise CodeError(f"{step.class_name} gives no Dataset")
        return DataFrame(made.toDF(), spark)

    try:
        loader = _added(spark, step)
        found = loader.loadClass(step.class_name).newInstance()
        if not is_a("java.util.function.Function", found):
            raise CodeError(f"class {step.class_name} of {step.jar} is not {wanted}")
    except Py4JError as error:
        said = f"class {step.class_name} of {step.jar}: {short(error)}; it has to be {wanted}"
        raise CodeError(said) from error
    return run
