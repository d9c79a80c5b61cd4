"""A batch decoded with the schema it is written with, which the batch itself has a say in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lake_platform.domain.batches import Claim
from lake_platform.domain.decisions import Ruling, column_of, names_of
from lake_platform.domain.diff import Change, diff
from lake_platform.domain.layout import staging_prefix
from lake_platform.domain.mapping import paths_of, shown
from lake_platform.domain.progress import SchemaVersion
from lake_platform.domain.registry import Declared
from lake_platform.domain.rules import is_rule
from lake_platform.domain.schema import RESCUED_FIELD, Struct
from lake_platform.errors import ReplayRefusedError
from lake_platform.evolution import evolve, first, registered
from lake_platform.load.judged import check_rejected
from lake_platform.load.plan import Loading, Work
from lake_platform.load.quarantine import may_be_put_aside, place_of
from lake_platform.load.rules import Aside
from lake_platform.load.stage import Question, Staged, together

_CROWDED = (
    "more new keys than it may have (max_new_keys, max_object_keys, max_columns), and the steps do "
    "not select `_rescued`, where the others go: select it, or have a map made of the object, by a "
    "rebuild with the hint {type: map}"
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`late`: it keeps the old columns although it brought new ones, to be applied again with them.
    `changes`: what it brought. `only_aside`: as `may_be_put_aside` has it."""

    staged: Staged
    schema: SchemaVersion
    changes: tuple[Change, ...]
    only_aside: frozenset[tuple[int, int]] | None = None
    late: bool = False


def decoded(
    loading: Loading, claim: Claim, work: Work, active: SchemaVersion, *, fresh: bool
) -> Decoded:
    """Decodes until nothing is new to the schema; nothing is on record yet. `fresh`: there is no
    table that a change could break.

    Raises: SchemaBlockedError, QuarantineRatioError, ReplayRefusedError.
    """
    rounds = _Rounds(loading, claim, work, active)
    if fresh:
        rounds.settle()
    else:
        rounds.begin()
    rounds.take_in()
    staged, schema = rounds.staged, evolve.as_next(active, rounds.base, rounds.schema)
    changes = tuple(
        replace(c, kind="widen", verdict="automatic") if c.path in rounds.doubles else c
        for c in diff(active.source, schema.source, partial=True)
    )
    if not fresh and _is_late(loading, work, changes):
        return Decoded(rounds.stage_late(active), active, changes, rounds.only, late=True)
    return Decoded(staged, schema, changes, rounds.only)


def check_unread(loading: Loading, claim: Claim, work: Work) -> None:
    """Of records of which none says what columns there are. Raises: QuarantineRatioError."""
    nothing = _Rounds(loading, claim, work, SchemaVersion(0, Struct()))
    check_rejected(loading, work.commits, nothing.stage(nothing.schema).report, asked=work.asked)


def staging(table: str, claim: Claim) -> str:
    return staging_prefix(table, claim.batch.id, claim.nonce)


class _Rounds:
    """`base`: what changes are taken into; `staged`: the batch decoded with `schema`; `doubles`:
    paths of integers that become doubles; `declared`: the schemas of a registry that say what
    columns there are."""

    def __init__(self, loading: Loading, claim: Claim, work: Work, active: SchemaVersion) -> None:
        self._loading, self._claim, self._work = loading, claim, work
        self.base = self.schema = active
        self._rulings = loading.rulings(work.commits, asked=work.asked)
        self.only = may_be_put_aside(loading, work)
        self._aside = Aside(only=self.only)
        self.doubles: frozenset[str] = frozenset()
        self.declared: list[Declared] = []

    def begin(self) -> None:
        dataset, ports = self._loading.dataset, self._loading.ports
        self.declared = registered.read(dataset, ports, self._work.commits)
        if not self.declared:
            self._try(self._proposed(self.base.source))
        else:
            # What was declared has its types; records are not asked for them.
            said = registered.columns(dataset, self.declared)
            new = evolve.proposed(dataset, ports, self.base, said)
            self._try(registered.with_reason(dataset, self.base, new, self.declared))

    def settle(self) -> None:
        """Where the records of a first batch do not fit what was made of others, all count."""
        usual, self._rulings = self._rulings, [(Ruling("report"), list(self._work.commits))]
        self.begin()
        self._rulings = usual
        if not self.staged.report.changes or self.declared:
            return
        dataset, ports = self._loading.dataset, self._loading.ports
        again = first.settle_again(dataset, ports, self.base, self._work.commits)
        self.base = again or self.base
        self._try(again or self.schema)

    def take_in(self) -> None:
        """Raises: SchemaBlockedError, QuarantineRatioError, ReplayRefusedError."""
        if evolve.any_new(self.base, self.staged.report.breaking):
            self._try(self._proposed(self.staged.report.observed, mixed=True))
        self._check()
        while self.staged.report.changes:
            self._try(self._proposed(self.staged.report.observed))
            self._check()

    def stage_late(self, schema: SchemaVersion) -> Staged:
        """With the old columns. What the rules say of the new ones holds for it too."""
        report = self.staged.report
        ruled = (r for r in report.rejected if is_rule(r.reason))
        self._aside = Aside({place_of(r.line): r.reason for r in ruled}, judged=True)
        late = self.stage(schema, projecting=True)
        late.report.rules = report.rules
        return late

    def stage(self, schema: SchemaVersion, *, projecting: bool = False) -> Staged:
        loading, dataset = self._loading, self._loading.dataset
        usual = Question(
            dataset, schema.source, schema.columns, staging(loading.table, self._claim),
            loading.engine.layout(dataset), projecting, aside=self._aside,
            unused=loading.engine.unused(dataset, schema.source),
        )  # fmt: skip
        parts: list[Staged] = []
        for held, commits in self._rulings:
            source = held.rescuing(schema.source, dataset.record_columns)
            question = replace(usual, source=source, ruling=held)
            objects = [o for c in commits for o in c.objects]
            parts.append(loading.decoders.stage(question, objects, len(parts)))
        return parts[0] if len(parts) == 1 else together(usual, parts, loading.ports.store)

    def _proven(self) -> SchemaVersion | None:
        """The schema with doubles for integers, where that is all that breaks, and the table is
        proven to have none that would become another number."""
        dataset, breaking = self._loading.dataset, self.staged.report.breaking
        paths = [c.path for c in breaking if (c.before, c.after) == ("long", "double")]
        named = any(column_of(path) in dataset.record_columns for path in paths)
        if len(paths) != len(breaking) or not paths or named or self._work.replay:
            return None
        if not self._loading.engine.exact_as_double(dataset, paths):
            return None
        self.doubles |= frozenset(paths)
        return evolve.as_doubles(self.base, paths)

    def _unseen(self) -> list[Change]:
        """Objects that are closed, of a table whose steps do not hand `_rescued` on: what goes
        there now would be nowhere."""
        if not self._loading.dataset.transformed or self.schema.columns.same(RESCUED_FIELD):
            return []
        found = diff(self.base.source, self.schema.source, partial=True)
        paths = [c.path for c in found if c.kind == "closed" and not self._accepted(c.path)]
        return [Change(path, "flood", "breaking", "", _CROWDED) for path in paths]

    def _accepted(self, path: str) -> bool:
        return path in self._never_used() or any(h.decided(path) for h, _ in self._rulings)

    def _never_used(self) -> set[str]:
        """What no step looks at, as columns and as records have it."""
        unused = self._loading.engine.unused(self._loading.dataset, self.schema.source)
        return {
            text
            for name, path in paths_of(self.schema.source)
            for text in (name, shown(path))
            if any(names_of(name)[:n] in unused for n in range(1, len(path) + 1))
        }

    def _try(self, schema: SchemaVersion) -> None:
        self.schema, self.staged = schema, self.stage(schema)

    def _proposed(self, observed: Struct, *, mixed: bool = False) -> SchemaVersion:
        dataset, ports = self._loading.dataset, self._loading.ports
        return evolve.proposed(dataset, ports, self.base, observed, self._work.commits, mixed=mixed)

    def _check(self) -> None:
        if (proven := self._proven()) is not None:
            self.base = proven
            self._try(proven)
        loading, report = self._loading, self.staged.report
        flooded = report.flooded(loading.dataset.max_rescued_ratio, self._accepted)
        breaking = [*report.breaking, *flooded, *self._unseen()]
        if breaking and self._work.asked:
            raise ReplayRefusedError(
                loading.table, self._work.batch.id, "; ".join(map(str, breaking)),
                "change the definition so that the records fit, or raise max_rescued_ratio",
            )  # fmt: skip
        if breaking:
            evolve.block(
                loading.dataset, loading.ports, breaking, self._work.batch.id, report.samples,
                registered.blamed(loading.dataset, self.declared, report.details(breaking)),
            )  # fmt: skip
        check_rejected(loading, self._work.commits, report, asked=self._work.asked)


def _is_late(loading: Loading, work: Work, changes: Sequence[Change]) -> bool:
    """Whether this batch keeps the old columns. What was widened does not fit into those."""
    only_new = {c.kind for c in changes} in ({"add"}, {"add", "closed"})
    return only_new and loading.dataset.evolution == "next_batch" and not work.replay
