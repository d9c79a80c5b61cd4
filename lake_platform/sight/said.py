"""What was seen at a path, put together and put in words."""

from __future__ import annotations

from lake_platform.sight.seen import Kind, Seen, only, union


def elements_and_singles(seen: Seen) -> Seen | None:
    """What was seen in arrays and beside them; None where there is no array."""
    if not (seen.arrays or seen.empty_arrays):
        return None
    single = only(seen, "scalar", "object")
    if seen.arrays:
        single.empty_objects = 0  # is an empty array
    return union([seen.element, single] if seen.element else [single])


def counts(seen: Seen) -> str:
    """`60 objects, 2 texts (first 0:17)`, the most frequent first."""
    numbers: dict[Kind, int] = {
        "text": seen.strings,
        "number": seen.numbers,
        "boolean": seen.booleans,
        "object": seen.objects + seen.empty_objects,
        "array": seen.arrays + seen.empty_arrays,
    }
    common, *rarer = sorted((k for k in numbers if numbers[k]), key=lambda k: -numbers[k])
    texts = [_plural(numbers[common], common)]
    for kind in rarer:
        _, where = seen.examples.get(kind, ("", ""))
        texts.append(_plural(numbers[kind], kind) + (f" (first {where})" if where else ""))
    return ", ".join(texts)


def _plural(count: int, kind: str) -> str:
    return f"{count} {kind}{'s' * (count > 1)}"
