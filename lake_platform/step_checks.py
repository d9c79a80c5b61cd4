"""Where code of steps comes from, and the engine's look at steps before they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_platform.code.pins import CodeBase
from lake_platform.errors import SetupError
from lake_platform.settings import Settings

if TYPE_CHECKING:
    from lake_platform.adapters.spark.registration import Analyse


def code_of(settings: Settings) -> CodeBase:
    directory = settings.definitions_dir.absolute()
    return CodeBase(settings.jar_folders, directory, bool(settings.spark_remote))


def build_analysis(settings: Settings, remote: str) -> Analyse:
    """`remote`: LAKE_SPARK_REMOTE with its secrets."""
    from lake_platform.adapters.spark.options import at_start
    from lake_platform.adapters.spark.registration import analyse_apart
    from lake_platform.embedded.java import java_home

    try:
        java = {} if remote else {"JAVA_HOME": str(java_home())}
    except SetupError:
        java = {}  # the child says what is missing
    return analyse_apart(java, at_start(settings.spark_conf), remote, code_of(settings))
