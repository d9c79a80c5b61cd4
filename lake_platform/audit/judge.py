"""P, and the two equations every audit has: raw = P, and in append tables T + Q + D = P."""

from __future__ import annotations

from lake_platform.audit.ledger import Ledger
from lake_platform.audit.report import NO_WINDOW, Counts, Finding, WindowLine, in_order

MAX_FINDINGS = 50
# Producers may set any 64-bit number; only what is a date has an hour.
HOUR = (
    "CASE WHEN {0} BETWEEN 0 AND 253402300799999 "
    "THEN strftime(make_timestamp(({0} // 3600000) * 3600000000), '%Y-%m-%d-%H:00') "
    f"ELSE '{NO_WINDOW}' END"
)
# Kafka's own records; where it cannot vouch, raw's, by the log and by blind listing. `seq` is the
# raw commit whose range the offset is in, or the one before it.
_P = f"""
CREATE TABLE p AS
WITH known AS (
  SELECT part, off, ts, tomb, true AS in_kafka FROM kafka
  UNION ALL
  SELECT r.part, r.off, min(r.ts), bool_or(r.tomb), false
  FROM raw r LEFT JOIN starts s ON s.part = r.part
  WHERE (s.first IS NULL OR r.off < s.first OR $compacted)
    AND NOT EXISTS (FROM kafka k WHERE k.part = r.part AND k.off = r.off)
  GROUP BY 1, 2
), filed AS (SELECT part, off, min(win) AS win FROM raw WHERE logged GROUP BY 1, 2)
SELECT k.*, coalesce(f.win, {HOUR.format("k.ts")}) AS win, coalesce(s.seq, 0) AS seq,
       coalesce(s.committed_at, 0) AS committed_at, coalesce(s.expired, false) AS expired
FROM known k
ASOF LEFT JOIN spans s ON k.part = s.part AND k.off >= s.first
LEFT JOIN filed f ON f.part = k.part AND f.off = k.off
WHERE (k.in_kafka OR k.off < s.last)
  AND NOT EXISTS (FROM gaps g WHERE g.part = k.part AND k.off >= g.first AND k.off < g.last)
"""  # noqa: S608 - no value of a record or definition is in it
# One line a record: how often it is in each place. `unproven`: neither Kafka nor raw has it any
# more, so a row of the table is taken as it is.
_PLACES = f"""
CREATE TABLE places AS
WITH t AS (SELECT part, off, count(*) AS n, min(ts) AS ts FROM lake GROUP BY 1, 2),
     q AS (SELECT part, off, count(*) AS n, min(win) AS win FROM quarantine GROUP BY 1, 2),
     r AS (SELECT part, off, count(*) AS n, min(win) AS win FROM raw WHERE logged GROUP BY 1, 2),
     every AS (SELECT part, off FROM p UNION SELECT part, off FROM t UNION
               SELECT part, off FROM q UNION SELECT part, off FROM r),
     held AS (
       SELECT e.part, e.off, p.off IS NOT NULL AS in_p, coalesce(p.tomb, false) AS tomb, p.seq,
              coalesce(p.expired, false) AS expired,
              coalesce(p.win, r.win, q.win, {HOUR.format("t.ts")}) AS win,
              coalesce(t.n, 0) AS t, coalesce(q.n, 0) AS q, coalesce(r.n, 0) AS r
       FROM every e
       LEFT JOIN p ON p.part = e.part AND p.off = e.off
       LEFT JOIN t ON t.part = e.part AND t.off = e.off
       LEFT JOIN q ON q.part = e.part AND q.off = e.off
       LEFT JOIN r ON r.part = e.part AND r.off = e.off)
SELECT h.*, NOT h.in_p AND coalesce(s.expired AND h.off < s.last, false)
         AND (k.first IS NULL OR h.off < k.first OR $compacted) AS unproven
FROM held h
ASOF LEFT JOIN spans s ON h.part = s.part AND h.off >= s.first
LEFT JOIN starts k ON k.part = h.part
"""  # noqa: S608
_APPEND = """
CREATE TABLE judged AS
WITH counted AS (
  SELECT h.*, (in_p AND q = 0 AND seq <= $applied
      AND (tomb AND $drops OR t = 0 AND (x.off IS NOT NULL OR w.off IS NOT NULL)))::INT AS d
  FROM places h LEFT JOIN rejected x ON x.part = h.part AND x.off = h.off
  LEFT JOIN (SELECT DISTINCT part, off FROM rowless) w ON w.part = h.part AND w.off = h.off
), placed AS (SELECT *, t + q + d AS n, in_p AND t + q + d = 0 AS nowhere FROM counted)
SELECT *,
  (nowhere AND seq > $applied)::INT AS pending,
  (nowhere AND seq <= $applied AND $filters)::INT AS filtered,
  (nowhere AND seq <= $applied AND NOT $filters)::INT AS lost,
  CASE WHEN in_p OR unproven THEN greatest(n - 1, 0) ELSE 0 END AS duplicated,
  CASE WHEN in_p OR unproven THEN 0 ELSE t + q END AS alien
FROM placed
"""
# Of an upsert's records raw and quarantine alone are judged here, its rows by key elsewhere.
_RAW = """
CREATE VIEW judged_raw AS
SELECT *,
  (in_p AND r = 0 AND NOT expired)::INT AS raw_lost,
  CASE WHEN in_p THEN greatest(r - 1, 0) ELSE 0 END AS raw_duplicated,
  CASE WHEN in_p THEN 0 ELSE r END AS raw_alien
FROM judged
"""
_COUNTED = """
SELECT win, count(*) FILTER (in_p) AS records, sum(r) AS raw, sum(t) AS "table",
  sum(q) AS quarantined, sum(d) AS dropped, sum(filtered) AS filtered, sum(pending) AS pending,
  sum(lost) AS lost, sum(duplicated) AS duplicated, sum(alien) AS alien,
  sum(raw_lost) AS raw_lost, sum(raw_duplicated) AS raw_duplicated, sum(raw_alien) AS raw_alien
FROM judged_raw GROUP BY win
"""
_FOUND = """
SELECT place, kind, part, off, win FROM (
  SELECT 'table' AS place, 'lost' AS kind, * FROM judged_raw WHERE lost > 0
  UNION ALL BY NAME
  SELECT CASE WHEN t > 0 THEN 'table' ELSE 'quarantine' END AS place, 'duplicated' AS kind, *
  FROM judged_raw WHERE duplicated > 0
  UNION ALL BY NAME
  SELECT CASE WHEN t > 0 THEN 'table' ELSE 'quarantine' END AS place, 'alien' AS kind, *
  FROM judged_raw WHERE alien > 0
  UNION ALL BY NAME SELECT 'raw' AS place, 'lost' AS kind, * FROM judged_raw WHERE raw_lost > 0
  UNION ALL BY NAME
  SELECT 'raw' AS place, 'duplicated' AS kind, * FROM judged_raw WHERE raw_duplicated > 0
  UNION ALL BY NAME SELECT 'raw' AS place, 'alien' AS kind, * FROM judged_raw WHERE raw_alien > 0
) ORDER BY win, part, off, place LIMIT $most
"""


def place_records(ledger: Ledger, *, compacted: bool) -> None:
    """Makes P, and where each of its records (and each other one) is found."""
    ledger.run(_P, compacted=compacted)
    ledger.run(_PLACES, compacted=compacted)


def judge_append(
    ledger: Ledger, applied: int, *, drops: bool, filters: bool
) -> tuple[WindowLine, ...]:
    """`drops`: tombstones may be left out, those in quarantine are not. `filters`: SQL steps may
    leave records out, so a record that is nowhere is not yet lost."""
    ledger.run(_APPEND, applied=applied, drops=drops, filters=filters)
    return lines(ledger)


def findings(ledger: Ledger) -> tuple[Finding, ...]:
    """The first records that are not where they must be."""
    return tuple(Finding(*row) for row in ledger.run(_FOUND, most=MAX_FINDINGS))


def lines(ledger: Ledger) -> tuple[WindowLine, ...]:
    ledger.run(_RAW)
    found = []
    for row in ledger.records(_COUNTED):
        window = str(row.pop("win"))
        found.append(WindowLine(window, Counts(**{k: int(v) for k, v in row.items()})))
    return in_order(found)
