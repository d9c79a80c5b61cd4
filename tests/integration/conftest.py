from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_platform.embedded.jars import ensure_jars
from tests.secured_kafka import Secured, secured_kafka


@pytest.fixture(scope="session")
def secured(
    jars_dir: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    """A secured broker, shared by the session: use topics of your own, and say which rights."""
    jars = ensure_jars(jars_dir, ["kafka"])[0].directory
    with secured_kafka(tmp_path_factory.mktemp("secured"), jars, java_home) as running:
        yield running
