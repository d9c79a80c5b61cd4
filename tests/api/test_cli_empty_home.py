"""Commands in a home where there is no metastore yet: who asks makes nothing, and is told so."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lake_platform import compose
from lake_platform.cli.main import app
from tests.api.test_cli import Lake, data, kafka, lake  # noqa: F401 - fixtures

_ASKING = (
    "datasets list", "datasets show t", "datasets stats t", "datasets schema t",
    "datasets set t owner=x", "datasets pause t", "datasets retire t --yes",
    "schema show t", "schema history t", "schema diff t 1", "schema export t",
    "schema proposals t", "schema add t c long", "schema drop t c", "schema rename t a b",
    "incidents list", "incidents show 1", "quarantine list t", "quarantine show t",
    "gaps list t", "gaps accept t", "audit t", "audit t --deep", "audit-log", "dump t", "load t",
    "ingest t", "replay t --all", "compact t",
)  # fmt: skip


@pytest.mark.parametrize("command", _ASKING)
@pytest.mark.parametrize("as_json", [False, True])
def test_asking_makes_nothing(lake: Lake, tmp_path: Path, command: str, as_json: bool) -> None:  # noqa: F811
    result = lake(*command.split(), *(["--json"] if as_json else []))
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert said.startswith("error: there is no metastore sqlite:///"), result.output
    assert f"{tmp_path}/home/metastore.db yet" in said
    assert "--home, LAKE_HOME or LAKE_METASTORE_URL" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "down", "logs"])
def test_the_stack_s_commands_make_nothing_either(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(app, [command, "--home", str(tmp_path / "home")])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_that_there_is_none_and_apply_makes_it(lake: Lake, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "o.py").write_text(
        "from lake_platform.domain.dataset import Dataset\n"
        "o = Dataset(topic='orders', table='orders')"
    )
    plan = lake("plan")
    assert plan.exit_code == 2
    place = f"metastore sqlite:///{tmp_path}/home/metastore.db"
    assert f"{place}: there is none yet, lake apply makes it" in plan.output
    assert "+ orders" in plan.output
    found = lake("plan", "--json")
    assert found.exit_code == 2
    assert not (tmp_path / "home").exists()
    assert lake("apply").exit_code == 0
    plan = lake("plan")
    assert (plan.exit_code, "none yet" in plan.output) == (0, False)
    assert place in plan.output
    assert data(lake("plan", "--json"))["metastore_exists"] is True


def test_a_metastore_elsewhere_is_named_without_its_password(
    lake: Lake,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LAKE_METASTORE_URL", "postgresql://u:canary@127.0.0.1:1/lake")
    result = lake("datasets", "list")
    assert result.exit_code == 1
    assert "127.0.0.1:1/lake did not answer" in result.output
    assert "canary" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_registering_makes_it(lake: Lake, tmp_path: Path) -> None:  # noqa: F811
    assert lake("datasets", "add", "--topic", "orders", "--table", "t").exit_code == 0
    assert (tmp_path / "home" / "metastore.db").exists()
    [listed] = data(lake("datasets", "list", "--json"))["datasets"]
    assert listed["backlog"] == 20
    assert compose.clock() - listed["registered_at"] < 600_000
