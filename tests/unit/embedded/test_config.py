"""What `lake up` writes for Kafka, supervisord and Dagster."""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest
from dagster._core.instance.config import dagster_instance_config

from lake_platform.embedded.dagster_home import write_dagster_home
from lake_platform.embedded.home import StackHome
from lake_platform.embedded.kafka import KafkaNode, new_cluster_id
from lake_platform.embedded.programs import Modules, Program, programs
from lake_platform.embedded.supervisor import render_config
from lake_platform.errors import SetupError
from lake_platform.settings import load_settings


@pytest.fixture
def home(tmp_path: Path) -> StackHome:
    found = StackHome(tmp_path / "with space and %")
    found.create()
    return found


def _node(home: StackHome) -> KafkaNode:
    return KafkaNode(home.kafka, Path("/jars"), Path("/java"), 19092, 19093)


def _programs(home: StackHome) -> list[Program]:
    settings = load_settings(home.root)
    return programs(settings, home, _node(home), Modules())


def test_every_kafka_listener_is_local(home: StackHome) -> None:
    properties = _node(home).properties()
    for key in ("listeners", "advertised.listeners"):
        for listener in properties[key].split(","):
            assert listener.split("://")[1].startswith("127.0.0.1:")
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:19093"
    assert properties["auto.create.topics.enable"] == "false"


def test_overrides_win(home: StackHome) -> None:
    node = KafkaNode(home.kafka, Path(), Path(), 1, 2, overrides={"log.retention.hours": "1"})
    assert node.properties()["log.retention.hours"] == "1"


def test_a_cluster_id_is_never_read_as_an_option() -> None:
    ids = [new_cluster_id() for _ in range(500)]
    assert len(set(ids)) == 500
    assert all(len(one) == 22 and not one.startswith("-") for one in ids)


def test_supervisord_runs_exactly_the_commands(home: StackHome) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(render_config(home, _programs(home)))
    for program in _programs(home):
        section = parser[f"program:{program.name}"]
        command = shlex.split(section["command"].replace("%%", "%"))
        assert tuple(command) == program.command
        assert section["autorestart"] == "true"
        assert section["stopasgroup"] == section["killasgroup"] == "true"
    assert parser["unix_http_server"]["chmod"] == "0600"
    assert "%" not in parser["supervisord"]["logfile"].replace("%%", "")


def test_every_listening_program_is_told_to_stay_local(home: StackHome) -> None:
    commands = {program.name: " ".join(program.command) for program in _programs(home)}
    assert "--host 127.0.0.1" in commands["api"]
    assert "-h 127.0.0.1" in commands["dagster-webserver"]
    assert "--socket" in commands["code-server"]


def test_a_program_waits_only_for_programs_before_it(home: StackHome) -> None:
    seen: set[str] = set()
    for program in _programs(home):
        assert seen.issuperset(program.after)
        seen.add(program.name)


def test_dagster_accepts_its_configuration(home: StackHome) -> None:
    write_dagster_home(home)
    config, _ = dagster_instance_config(str(home.dagster))
    assert config["run_retries"] == {
        "enabled": True,
        "max_retries": 3,
        "retry_on_asset_or_op_failure": False,
    }
    assert config["telemetry"] == {"enabled": False}
    limits = config["run_coordinator"]["config"]["tag_concurrency_limits"]
    assert {(limit["value"], limit["limit"]) for limit in limits} == {("load", 1), ("dump", 2)}


def test_sockets_of_a_deep_home_stay_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    deep = StackHome(tmp_path / ("deep" * 40))
    deep.create()
    assert deep.supervisor_socket.parent.parent == tmp_path / "t"
    assert deep.supervisor_socket.parent.stat().st_mode & 0o777 == 0o700
    assert StackHome(tmp_path / ("deep" * 41)).supervisor_socket != deep.supervisor_socket


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"file.*choose a directory you may write"):
        StackHome(tmp_path / "file" / "home").create()


def test_only_one_start_at_a_time(home: StackHome) -> None:
    with home.exclusive(), pytest.raises(SetupError, match="another `lake up`"):
        home.exclusive().__enter__()
