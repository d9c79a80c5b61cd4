"""Tests that `make test` leaves to `make test-all` and `make chaos-deep`: siblings of ones it keeps
that take seconds to minutes on real engines. Patterns of node ids, for `re.search`.
"""

from __future__ import annotations

import re

_DEEP = (
    # The other Hudi table; the life of the upsert table has all of its writes.
    r"contract/test_engine\.py::test_life_of_a_table\[hudi-append",
    r"contract/test_engine\.py::test_(a_batch_written|a_fenced|a_zombie|any_key|next_batch)\w*\[hudi-append",
    r"contract/test_engine\.py::test_(a_batch_of_bad|awkward_partition|a_table_whose)\w*\[hudi-append",
    r"contract/test_engine\.py::test_a_table_whose_creation_was_cut_off_is_finished\[hudi-upsert-True",
    r"contract/test_moves\.py::test_late_versions",
    r"contract/test_moves\.py::test_(timestamps_name_one_folder|old_dates)\w*\[append",
    r"contract/test_keys\.py::test_any_text_is_a_key\[moving",
    # What is rewritten from raw: Parquet tables stand for it, one Hudi table for what it reads.
    r"cases/test_resolutions\.py::test_(each_resolution|columns_by_hand|a_dropped)\w*\[hudi upsert",
    r"cases/test_siblings\.py::test_values_of_several_types\w*\[(?!map-upsert|long-and-text)\S*upsert-live",
    r"cases/test_siblings\.py::test_partition_values\w*\[hudi-(signs|numbers)",
    r"cases/test_siblings\.py::test_column_widens_by_data\[(decimal-hudi|int-long-step)",
    r"cases/test_keys\.py::test_c02_siblings\[(urn|2026)",
    r"cases/test_made_columns\.py::\w+\[(append|cow)",
    r"integration/test_catalog_spark\.py::",
    r"integration/test_query_doc\.py::test_what_the_page_says_works",
    r"integration/test_prometheus\.py::test_a_blocked_table_reaches",
    r"integration/test_debezium\.py::\w+\[plain",
    r"integration/test_casts\.py::\w+\[(hudi|parquet)",
    r"integration/test_phases\.py::test_append\[hudi-partition_by0",
    r"integration/test_rules_steps\.py::test_rules_behind_steps\[(hudi|parquet)",
    r"integration/test_steps\.py::test_failing_step\w*\[(hudi-steps5|parquet-steps[0-4])",
    r"integration/test_steps\.py::test_exploded_records_close\w*\[(partitioned|parquet)",
    r"integration/test_steps\.py::test_record_that_no_longer_passes\[(keep-None|delete-ver)",
    r"integration/test_canary\.py::test_canaries_sing_nowhere\[by",
    r"integration/test_step_versions",
    r"integration/test_step_code\.py::test_steps_of_all_kinds\w*\[hudi",
    r"integration/test_secured_kafka\.py::test_a_right\w*\[(0-command2|2-command4)",
    r"e2e/test_columns_by_hand\.py::\w+\[hudi",
    r"e2e/test_columns_by_hand\.py::test_columns_are_renamed",
    r"integration/test_stack\.py::test_ctrl_c_leaves_nothing\[2",
    # The dashboard in a browser: one page in light, one in dark, and all of the keyboard stay.
    r"api/test_pages_browser\.py::test_axe_finds_nothing\[(?!list-dark|dataset-light)",
    r"api/test_pages_browser\.py::test_(the_description|on_a_phone|a_form_of)",
    # Kills and faults at every call, of one more mode.
    r"faults/test_tables_s3\.py::test_a_fault_in_phase_2\[append-kind0",
    r"faults/test_clock\.py::test_a_clock_that_is_set_in_the_middle\[append-(load|clean)",
    r"unit/adapters/test_parquet_log\.py::test_a_fault_at_every_storage_call\w*\[before",
    r"unit/load/test_load\.py::test_a_kill_before_every_change\w*\[next_batch-append",
    r"unit/load/test_load\.py::test_a_store_whose_reply_is_lost\w*\[append",
    r"unit/load/test_redrive\.py::test_cut_off_anywhere\w*\[killed before-mode1",
    r"unit/rebuild/test_rebuild_kills\.py::test_a_kill_at_every_change\[upsert-before",
    r"unit/audit/test_\w+\.py::test_every_one_of_100\w*\[50",
    r"unit/audit/test_never_milder\.py::\w+\[(append with steps|upsert by ver)",
    # One more mode, place or time of what is the same code.
    r"unit/load/test_giant_exponents\.py::test_in_a_column_of_each_type\[quarantine",
    r"unit/load/test_load_hints\.py::TestHints::\w+\[new-parent-(struct|element)",
)
is_deep = re.compile("|".join(_DEEP)).search
