"""An upsert table: per key the last record of P after deletes, by hash of the projected values.

Order is Kafka's: within a partition the offset; between partitions the highest believed record
time so far, as the definition of the table has it. With an ordering field the greatest value since
the key's last delete wins. Where the outcome depends on how the records were cut into batches (a
smaller ordering value after a delete), the key is undecided and counts as neither.
"""

from __future__ import annotations

from lake_platform.audit.judge import lines
from lake_platform.audit.ledger import Ledger
from lake_platform.audit.report import WindowLine
from lake_platform.domain.quality import Reason
from lake_platform.domain.windows import EARLIEST_MS, HOUR_MS

# Reasons the events can verify: a record in quarantine for one of them must be a bad one.
_VERIFIED = [
    Reason.NOT_UTF8, Reason.NOT_JSON, Reason.NOT_OBJECT, Reason.EMPTY, Reason.NULL_KEY,
    Reason.NULL_ORDERING, Reason.TOMBSTONE_KEY, Reason.NOT_CHANGE, Reason.NO_ROW,
    Reason.SEVERAL_ROWS, Reason.LEFT_OUT,
]  # fmt: skip
_ORDERED = """
CREATE TABLE ordered AS
WITH timed AS (
  SELECT part, off, win, seq, coalesce(
    max(ts) FILTER (ts BETWEEN $earliest AND committed_at + $hour)
      OVER (PARTITION BY part ORDER BY off), 0) AS ord
  FROM p
), once AS (
  FROM events
  QUALIFY row_number() OVER (PARTITION BY part, off ORDER BY from_kafka DESC) = 1
), q AS (SELECT DISTINCT part, off FROM quarantine)
SELECT t.*, CASE WHEN x.off IS NULL THEN e.kind ELSE 'rejected' END AS kind,
       e.key, e.rank, e.hash, q.off IS NOT NULL AS quarantined,
       row(t.ord, t.off, t.seq, t.part) AS place
FROM timed t JOIN once e ON e.part = t.part AND e.off = t.off
LEFT JOIN q ON q.part = t.part AND q.off = t.off
LEFT JOIN rejected x ON x.part = t.part AND x.off = t.off
"""
_EXPECTED = """
CREATE TABLE expected AS
WITH live AS (
  FROM ordered WHERE seq <= $applied AND NOT quarantined AND kind NOT IN ('bad', 'rejected')
), going AS (
  SELECT key, place, rank FROM live WHERE kind = 'delete'
  UNION ALL
  SELECT DISTINCT m.key, l.place, '' FROM moved m
  JOIN live l ON l.part = m.part AND l.off = m.off WHERE l.kind = 'row'
), deletes AS (
  SELECT key, max(place) AS place, min(rank) FILTER (rank <> '') AS low FROM going GROUP BY key
), rows AS (
  SELECT l.*, d.place IS NULL OR l.place > d.place AS after, d.low
  FROM live l LEFT JOIN deletes d ON d.key = l.key WHERE l.kind = 'row'
), highest AS (
  SELECT key, max(rank) FILTER (NOT after) AS before,
    coalesce(bool_or(low < rank), false) AS outranked
  FROM rows GROUP BY key
), winners AS (
  FROM rows WHERE after
  QUALIFY row_number() OVER (PARTITION BY key ORDER BY rank DESC, place DESC) = 1
)
SELECT h.key, w.hash, w.part, w.off,
  h.outranked OR (w.key IS NOT NULL AND coalesce(h.before > w.rank, false)) AS undecided
FROM highest h LEFT JOIN winners w ON w.key = h.key
"""
# By coordinates, so that the verdict on a key has a window.
_VERDICTS = """
CREATE TABLE verdicts AS
WITH held AS (
  SELECT k.*, coalesce(k.hash = e.hash, false) AS same,
    coalesce(e.undecided, false) OR coalesce(p.unproven, false) AS undecided,
    coalesce(p.unproven, false) AS unproven,
    row_number() OVER (PARTITION BY k.key ORDER BY k.hash = e.hash DESC NULLS LAST) AS number
  FROM lake_keys k LEFT JOIN expected e ON e.key = k.key
  LEFT JOIN places p ON p.part = k.part AND p.off = k.off
), missing AS (
  SELECT e.part, e.off FROM expected e
  WHERE e.off IS NOT NULL AND NOT e.undecided
    AND NOT EXISTS (
      FROM held h WHERE h.key = e.key AND (h.hash = e.hash OR (h.unproven AND $ordered)))
), every AS (
  SELECT part, off, 1 AS lost, 0 AS duplicated, 0 AS alien FROM missing
  UNION ALL
  SELECT part, off, 0, (number > 1)::INT, (number = 1 AND NOT same AND NOT undecided)::INT
  FROM held
)
SELECT part, off, sum(lost)::INT AS lost, sum(duplicated)::INT AS duplicated,
  sum(alien)::INT AS alien
FROM every GROUP BY 1, 2
"""
_JUDGED = """
CREATE TABLE judged AS
WITH wrong AS (
  SELECT part, off FROM ordered o JOIN quarantine q USING (part, off)
  WHERE o.kind <> 'bad' AND list_contains($verified, q.reason) GROUP BY 1, 2
)
SELECT p.*,
  (p.in_p AND p.seq <= $applied AND p.t = 0 AND p.q = 0 AND coalesce(v.lost, 0) = 0
    AND coalesce(o.kind <> 'bad', true))::INT AS d,
  0 AS filtered,
  (p.in_p AND p.seq > $applied AND p.t = 0 AND p.q = 0)::INT AS pending,
  (coalesce(v.lost, 0) + (p.in_p AND p.seq <= $applied AND p.q = 0
    AND coalesce(o.kind = 'bad', false))::INT) AS lost,
  coalesce(v.duplicated, 0) + greatest(p.q - 1, 0) AS duplicated,
  coalesce(v.alien, 0) + CASE WHEN p.q > 0 AND (NOT (p.in_p OR p.unproven) OR w.off IS NOT NULL)
    THEN 1 ELSE 0 END AS alien
FROM places p
LEFT JOIN ordered o ON o.part = p.part AND o.off = p.off
LEFT JOIN verdicts v ON v.part = p.part AND v.off = p.off
LEFT JOIN wrong w ON w.part = p.part AND w.off = p.off
"""
# With SQL steps what a row must hold is theirs to say: its record must be there, and be one row,
# and its key must be there once.
_TRANSFORMED = """
CREATE TABLE judged AS
WITH twice AS (
  SELECT part, off, sum((number > 1)::INT)::INT AS n FROM (
    SELECT part, off, row_number() OVER (PARTITION BY key) AS number
    FROM (SELECT DISTINCT part, off, key FROM lake_keys))
  GROUP BY 1, 2
)
SELECT p.*, 0 AS d,
  (p.in_p AND p.seq <= $applied AND p.t = 0 AND p.q = 0)::INT AS filtered,
  (p.in_p AND p.seq > $applied AND p.t = 0 AND p.q = 0)::INT AS pending,
  0 AS lost,
  coalesce(w.n, 0) + greatest(p.t - 1, 0) + greatest(p.q - 1, 0) AS duplicated,
  CASE WHEN p.in_p OR p.unproven THEN (p.t > 0 AND p.q > 0)::INT ELSE p.t + p.q END AS alien
FROM places p LEFT JOIN twice w ON w.part = p.part AND w.off = p.off
"""


def judge_upsert(ledger: Ledger, applied: int, *, ordered: bool) -> tuple[WindowLine, ...]:
    """Needs `p`, `places`, the events of every record and the keys of every row. `ordered`: by an
    ordering field, so that a record nobody has any more may rightly have won."""
    ledger.run(_ORDERED, earliest=EARLIEST_MS, hour=HOUR_MS)
    ledger.run(_EXPECTED, applied=applied)
    ledger.run(_VERDICTS, ordered=ordered)
    ledger.run(_JUDGED, applied=applied, verified=[str(r) for r in _VERIFIED])
    return lines(ledger)


def judge_transformed_upsert(ledger: Ledger, applied: int) -> tuple[WindowLine, ...]:
    ledger.run(_TRANSFORMED, applied=applied)
    return lines(ledger)


def undecided_keys(ledger: Ledger) -> int:
    return int(ledger.run("SELECT count(*) FROM expected WHERE undecided")[0][0])
