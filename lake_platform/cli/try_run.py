"""One run of `lake try`: the steps in order, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from lake_platform import benches
from lake_platform.cli.try_home import (
    Once,
    OutOfTime,
    OutOfTimeError,
    at_most,
    engines_quiet,
    home_for_once,
    keep,
)
from lake_platform.domain.dataset import Dataset
from lake_platform.domain.layout import table_prefix
from lake_platform.errors import LakeError
from lake_platform.settings import Settings
from lake_platform.trial.acts import Act

if TYPE_CHECKING:
    from lake_platform.trial.report import Report
    from lake_platform.trial.trial import Trial

Planned = tuple[Path, list[Act]]
"""A file of records, or one of operations and what is in it."""


class Run:
    def __init__(
        self,
        dataset: Dataset,
        steps: list[Planned],
        whole: bool,
        as_json: bool,
        seconds: float,
        out: Path | None,
        schemas: Sequence[str] = (),
    ) -> None:
        self._schemas = schemas
        self._dataset, self._steps, self._whole = dataset, steps, whole
        self._as_json, self._seconds, self._out = as_json, seconds, out
        self._doing = "registration"

    def carried_out(self, settings: Settings) -> int:
        with engines_quiet() as (out, err), home_for_once() as home:
            at_work = benches.bench_settings(settings, home.path)
            console = Console(file=out, markup=False, highlight=False, emoji=False)
            report = self._tried(at_work, home, console, err)
            if self._out is not None:
                keep(home.path / "storage" / table_prefix(self._dataset.table), self._out)
            if self._as_json:
                out.write(json.dumps(report.to_dict(), default=str) + "\n")
            else:
                from lake_platform.cli.try_show import show_report

                show_report(console, report)
            return report.exit_code

    def _tried(self, settings: Settings, home: Once, console: Console, err: TextIO) -> Report:
        from lake_platform.cli.try_show import SHOWN_ROWS
        from lake_platform.trial.report import Report, finish
        from lake_platform.trial.trial import Trial

        bench = benches.build_bench(settings, schemas=self._schemas, dataset=self._dataset)
        trial = Trial(bench, self._dataset)
        try:
            with at_most(self._seconds, home, err):
                self._all_steps(trial, console)
                self._doing = "reading the table"
                return finish(trial, None if self._as_json else SHOWN_ROWS)
        except OutOfTime:
            late: Exception = OutOfTimeError(self._seconds, self._doing)
            if trial.steps and not trial.steps[-1].error:
                trial.steps[-1].error = late
            return Report(trial, errors=[late])
        except LakeError as error:  # refused by registration, or a line that is no record
            return Report(trial, errors=[error])

    def _all_steps(self, trial: Trial, console: Console) -> None:
        from lake_platform.cli.try_show import show_step

        for path, acts in self._steps:
            self._doing = str(path)
            if not acts:
                done = [trial.batch_file(path, whole=self._whole)]
            else:
                done = []
                for act in acts:
                    self._doing = f"{act.source} ({act.op})"
                    done.append(trial.act(act))
            if not self._as_json:
                for step in done:
                    show_step(console, step)
