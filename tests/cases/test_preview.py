"""Steps that are changed, looked at before: by Spark."""

from __future__ import annotations

from pathlib import Path

from lake_platform import benches
from lake_platform.settings import load_settings
from lake_platform.trial.preview import Question, preview
from tests.cases.runner import Open, value


def test_steps_that_change_a_type_are_refused_and_a_rebuild_takes_them(tried: Open) -> None:
    before = [{"sql": "SELECT id, v FROM input"}]
    text = [{"sql": "SELECT id, CAST(v AS STRING) AS v FROM input"}]
    one = tried(format="parquet", transforms=before)
    one.load(value(id=1, v=5))
    refused = one.act("change", fields={"transforms": text})
    assert refused.outcome == "refused"
    assert "column v of table t is long, and these steps make it string" in str(refused.error)
    assert "lake rebuild t --change" in str(refused.error)
    assert "lake preview t --change" in str(refused.error)
    more = [{"sql": "SELECT id, v, v + 1 AS w FROM input"}]
    asked = one.act("change", fields={"transforms": more})
    assert (asked.outcome, asked.changes) == ("done", ("new column w long",))
    one.load(value(id=2, v=6))
    gone = one.act("change", fields={"transforms": before})
    assert gone.changes == ("column w long is no longer made by the steps: NULL in new rows",)
    one.load(value(id=3, v=7))
    assert [(r["id"], r["v"], r["w"]) for r in one.rows()] == [
        (1, 5, None),
        (2, 6, 7),
        (3, 7, None),
    ]
    assert one.trial.dataset.transforms[0].sql == before[0]["sql"]


def test_a_preview_runs_the_steps_and_keeps_nothing(tried: Open, tmp_path: Path) -> None:
    before = [{"sql": "SELECT id, v FROM input"}]
    one = tried(mode="upsert", primary_key=["id"], transforms=before)
    one.load(value(id=1, v=5), value(id=2, v=-1), value(id=1, v=6))
    changes = {"transforms": [{"sql": "SELECT id, CAST(v AS STRING) AS v FROM input WHERE v > 0"}]}
    bench, once = one.trial.bench, tmp_path / "once"
    real = benches.bench_settings(load_settings(one.home), one.home)
    at_work = benches.bench_settings(load_settings(once), once)
    looking = benches.build_preview_bench(real, at_work, bench.metastore, bench.topic, one.session)
    held = {i.key: i.modified_at for i in bench.ports.store.list("")}
    found = preview("t", Question(changes), looking)
    assert {i.key: i.modified_at for i in bench.ports.store.list("")} == held
    assert found.rows.counts == {"updated": 1, "deleted": 1}
    assert found.rows.shown[0].after == {"id": 1, "v": "6"}
    assert (found.before.balance.dropped, found.after.balance.dropped) == (0, 1)
    assert found.after.files >= 1
    assert found.command.startswith("lake rebuild t --change 'transforms=[")
