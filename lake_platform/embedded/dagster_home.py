"""DAGSTER_HOME of the embedded stack: `dagster.yaml` and the workspace."""

from __future__ import annotations

from pathlib import Path

from lake_platform.embedded.home import StackHome

_DAGSTER_YAML = """\
# Written by `lake up` each time it starts; change the template in lake_platform/embedded instead.
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    # A run waits for its turn at most this long; the default of 5 s is most of a short run.
    dequeue_interval_seconds: 1
    max_concurrent_runs: 4
    tag_concurrency_limits:
      # A load owns a Spark JVM: two would not fit on a small machine. Dumps are light. A load by
      # hand has no such tag and runs beside (pools, which would count it, need PostgreSQL).
      - {key: lake/phase, value: load, limit: 1}
      - {key: lake/phase, value: dump, limit: 2}
run_retries:
  enabled: true
  max_retries: 3
  # Only crashed workers: an error raised on purpose gives the same answer again, and the next
  # schedule tick tries the rest.
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: 120
  cancel_timeout_seconds: 60
  max_runtime_seconds: 86400
sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 4}
retention:
  schedule:
    purge_after_days: {skipped: 1, success: 7, failure: 30, started: 7}
  sensor:
    purge_after_days: {skipped: 1, success: 7, failure: 30, started: 7}
telemetry: {enabled: false}
nux: {enabled: false}
"""


def write_dagster_home(home: StackHome) -> None:
    (home.dagster / "dagster.yaml").write_text(_DAGSTER_YAML)
    home.workspace_file.write_text(_workspace(home.code_server_socket))


def _workspace(socket: Path) -> str:
    # One code server for webserver and daemon; a socket, because whoever reaches a code server can
    # run anything, and a port on 127.0.0.1 is open to every user of the machine.
    return (
        "load_from:\n"
        "  - grpc_server:\n"
        f'      socket: "{socket}"\n'
        "      location_name: lake_platform\n"
    )
