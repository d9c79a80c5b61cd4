"""`deploy/alerts.yaml` and the dashboard in the hands of a real Prometheus and Alertmanager."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lake_platform.api.metrics import render
from lake_platform.domain.alerts import BLOCKED, CHECK_FAILED, JOB_FAILED, SEVERITIES, Alert
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.progress import DatasetRecord, Progress
from lake_platform.domain.telling import HeldAlert, ReceiverState
from lake_platform.embedded.ports import free_port
from lake_platform.metastore.repository import Repository, open_repository
from tests.prometheus_server import ensure, watching
from tests.receivers import http_inbox
from tests.unit.domain.test_alerts import CASES, NOW

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
ONLY_HERE = {"LakeNotWatched"}
AT_SECONDS = 3_600  # promtool's clock begins in 1970


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return cast("list[dict[str, Any]]", group["rules"])


def test_same_names_and_severities_as_the_sensor() -> None:
    there = {r["alert"]: r["labels"]["severity"] for r in rules()}
    assert {n: s for n, s in there.items() if n not in ONLY_HERE} == dict(SEVERITIES)
    assert set(there) - set(SEVERITIES) == ONLY_HERE


class Held:
    """As much of a metastore as a scrape reads."""

    def __init__(
        self,
        records: list[DatasetRecord],
        progress: Mapping[str, Progress],
        alerts: list[HeldAlert] | None = None,
        receivers: Mapping[str, ReceiverState] | None = None,
        beat: int = NOW,
    ) -> None:
        self._records, self._progress = records, progress
        self._alerts, self._receivers, self._beat = alerts or [], receivers or {}, beat

    def list_all(self, **_: Any) -> list[DatasetRecord]:
        return [r for r in self._records if r.status != "RETIRED"]

    def all_progress(self) -> Mapping[str, Progress]:
        return self._progress

    def blocked_tables(self, _kind: str) -> set[str]:
        return set()

    def held_alerts(self) -> list[HeldAlert]:
        return self._alerts

    def receivers(self) -> Mapping[str, ReceiverState]:
        return self._receivers

    def beats(self) -> Mapping[str, int]:
        return {"alerts": self._beat}


def scraped(held: Held) -> str:
    return render(cast(Repository, held), lambda: NOW, {"kafka": True, "storage": True}).decode()


def series(text: str) -> Iterator[dict[str, str]]:
    """What promtool is given: each sample, for as long as it looks."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{k}="{v}"' for k, v in sample.labels.items())
            value = sample.value
            if sample.name.endswith("_timestamp_seconds"):
                value += AT_SECONDS - NOW / 1000
            # promtool knows no infinity in series.
            value = min(value, 1e300)
            yield {"series": f"{sample.name}{{{labels}}}", "values": f"{value!r}x120"}


def trial(name: str, held: Held, expected: list[str]) -> dict[str, Any]:
    """One test of promtool: which alerts fire, whatever their labels say beside severity."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": list(series(scraped(held))),
        "promql_expr_test": [{
            "expr": "count by (alertname) (ALERTS{alertstate='firing'})",
            "eval_time": f"{AT_SECONDS}s",
            "exp_samples": [
                {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(expected)
            ],
        }],
    }  # fmt: skip


@pytest.fixture(scope="session")
def programs(jars_dir: Path) -> Mapping[str, str]:
    return ensure(jars_dir)


def run_trials(programs: Mapping[str, str], home: Path, trials: list[dict[str, Any]]) -> str:
    """What promtool says; empty when all is as expected."""
    file = home / "trials.yaml"
    file.write_text(
        yaml.safe_dump({
            "rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": trials,
        })
    )  # fmt: skip
    done = subprocess.run(
        [programs["promtool"], "test", "rules", str(file)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_rules_are_rules(programs: Mapping[str, str]) -> None:
    done = subprocess.run(
        [programs["promtool"], "check", "rules", str(RULES)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


def test_the_rules_fire_when_the_sensor_tells(programs: Mapping[str, str], tmp_path: Path) -> None:
    """Each case of the conditions' own test, as /metrics shows it."""
    trials = [
        trial(name, Held([held], {held.dataset.table: progress}), expected)
        for name, (held, progress, expected) in CASES.items()
    ]
    audit = HeldAlert(Alert(CHECK_FAILED, "t", "audit", "3 lost", "look"), NOW)
    job = HeldAlert(Alert(JOB_FAILED, "", "maintenance", "failed", "look"), NOW)
    down = {"slack": ReceiverState("slack", failing_since=NOW - 300_000)}
    young = {"slack": ReceiverState("slack", failing_since=NOW - 299_000)}
    old = NOW - 601_000
    trials += [
        trial("a check failed", Held([], {}, [audit]), [CHECK_FAILED]),
        trial("a job failed", Held([], {}, [job]), [JOB_FAILED]),
        trial("quiet", Held([], {}, [HeldAlert(audit.alert, NOW, quiet_since=NOW)]), []),
        trial("over", Held([], {}, [HeldAlert(audit.alert, NOW, 1, 2)]), []),
        trial("a receiver is down", Held([], {}, receivers=down), ["LakeAlertsNotDelivered"]),
        trial("a receiver hiccups", Held([], {}, receivers=young), []),
        trial("nobody watches", Held([], {}, beat=old), ["LakeNotWatched"]),
    ]
    assert run_trials(programs, tmp_path, trials) == ""


def test_a_trial_that_expects_another_alert_fails(
    programs: Mapping[str, str], tmp_path: Path
) -> None:
    held, progress, _ = CASES["blocked"]
    wrong = trial("wrong", Held([held], {"t": progress}), ["LakeTableLate"])
    assert "LakeTableBlocked" in run_trials(programs, tmp_path, [wrong])


_WORDS = frozenset(["by", "on", "ignoring", "without", "and", "or", "unless", "group_left", "bool"])


def named_metrics(query: str) -> set[str]:
    """Metrics that a query names."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\$\w+", "", bare)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-z_]+\b(?!\s*\()", bare)) - _WORDS


def there() -> set[str]:
    held, progress, _ = CASES["well"]
    text = scraped(Held([held], {"t": progress}))
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def queries() -> list[tuple[str, str]]:
    found = [(r["alert"], r["expr"]) for r in rules()]
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        found += [(panel["title"], t["expr"]) for t in panel.get("targets", ())]
    found += [("variable", v["definition"]) for v in dashboard["templating"]["list"]
              if v["type"] == "query"]  # fmt: skip
    return found


@pytest.mark.parametrize(("place", "query"), queries())
def test_queries_name_metrics_that_are_there(place: str, query: str) -> None:
    if found := re.fullmatch(r"label_values\((\w+), \w+\)", query):
        query = found.group(1)
    assert named_metrics(query), place
    assert named_metrics(query) - there() == set(), place


def test_what_is_not_there_is_found() -> None:
    query = 'sum by (dataset) (rate(nothing_total{a="b_c"}[5m])) > on (x) max_lag_seconds'
    assert named_metrics(query) == {"nothing_total", "max_lag_seconds"}
    assert "max_lag_seconds" in there()


def test_the_dashboard_takes_queries_that_prometheus_takes(
    programs: Mapping[str, str], tmp_path: Path
) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    exprs = [
        t["expr"].replace("$dataset", ".*").replace("$__rate_interval", "5m")
        for p in dashboard["panels"] for t in p.get("targets", ())
    ]  # fmt: skip
    file = tmp_path / "dashboard.yaml"
    recorded = [{"record": f"panel:{n}", "expr": e} for n, e in enumerate(exprs)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    done = subprocess.run(
        [programs["promtool"], "check", "rules", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


@contextmanager
def api(home: Path) -> Iterator[str]:
    """`host:port` of a real API over the metastore in `home`."""
    port = free_port()
    environ = os.environ | {
        "LAKE_HOME": str(home), "LAKE_API_PORT": str(port), "LAKE_DAGSTER_PORT": "1",
        "LAKE_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "uvicorn", "--factory", "lake_platform.api.app:create_app",
        "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
    ]  # fmt: skip
    with (home / "api.log").open("wb") as out:
        server = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert time.monotonic() < deadline, (home / "api.log").read_text()[-2000:]
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).is_success
    except httpx.HTTPError:
        return False


def test_a_blocked_table_reaches_a_webhook_and_its_end_too(
    programs: Mapping[str, str], tmp_path: Path
) -> None:
    store = open_repository(f"sqlite:///{tmp_path / 'metastore.db'}", lambda: NOW)
    store.register(Dataset(topic="orders", table="orders"), None, "ann")
    with (
        http_inbox() as inbox, api(tmp_path) as target,
        watching(programs, tmp_path, RULES, target, inbox.url),
    ):  # fmt: skip
        store.block("orders", (), "b1", (), "engine", "the disk is on fire")
        firing = _wait_for(inbox, "firing")
        assert firing["labels"] | {"alertname": BLOCKED, "dataset": "orders"} == firing["labels"]
        assert firing["labels"]["severity"] == "critical"
        assert firing["annotations"] == {
            "summary": "table orders is BLOCKED; raw goes on",
            "remedy": "lake incidents list --table orders",
        }
        assert not [m for m in inbox.bodies if m["status"] == "resolved"]
        store.resume("orders", "ann")
        assert _wait_for(inbox, "resolved")["labels"]["dataset"] == "orders"
    store.close()


def _wait_for(inbox: Any, status: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [
            a for m in inbox.bodies for a in m["alerts"]
            if a["status"] == status and a["labels"]["alertname"] == BLOCKED
        ]  # fmt: skip

    with inbox.arrived:
        assert inbox.arrived.wait_for(lambda: bool(found()), 60), inbox.bodies
        return found()[0]
