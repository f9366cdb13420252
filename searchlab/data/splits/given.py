"""The parts that the data itself names; without a validation part, one is cut from the training part."""

from __future__ import annotations

import numpy as np

from searchlab.data import Array, Examples
from searchlab.data.parts import PARTS, is_labels
from searchlab.data.splits import group, random, stratified, time
from searchlab.errors import DataError
from searchlab.seeds import stream


class Given:
    """The rule `by: given`."""

    def part(
        self, examples: Examples, *, validation: float, test: float, seed: int, embargo: int
    ) -> tuple[Array, Array, Array]:
        """See `Split`; `test` is not used, and `validation` is the share of the given training part that is cut off."""
        if examples.fold is None:
            raise DataError("`by: given` needs parts, but the data names none: give a fold column, array or folders.")
        unknown = sorted(set(np.unique(examples.fold).tolist()) - set(PARTS))
        if unknown:
            raise DataError(f"parts are called train, validation and test; the data calls some {unknown[:10]}.")
        rows = {part: np.flatnonzero(examples.fold == part) for part in PARTS}
        for part in ("train", "test"):
            if not len(rows[part]):
                raise DataError(f"the data names no example as {part!r}; it needs 'train' and 'test' at least.")
        if not len(rows["validation"]):
            rows["train"], rows["validation"] = _cut(examples, rows["train"], validation, seed, embargo)
        _check_groups(examples, rows)
        _check_spans(examples, rows, embargo)
        return rows["train"], rows["validation"], rows["test"]


def _cut(examples: Examples, train: Array, share: float, seed: int, embargo: int) -> tuple[Array, Array]:
    """Two parts of `train`: by groups or in time where there are any, else within classes, else by chance."""
    if not 0.0 < share < 1.0:
        raise DataError(f"validation must be a share above 0 and below 1 of the given training part, not {share:g}.")
    inner = examples.take(train)
    generator = stream(seed, "split", "given")
    if inner.group is not None:
        kept, held = group.draw(inner.group, inner.y, (share,), seed)
    elif inner.span is not None:
        kept, held = time.cut(inner.span, len(inner), (share,), embargo)
    elif is_labels(inner.y):
        kept, held = stratified.draw(inner.y, (share,), generator)
    else:
        kept, held = random.draw(len(inner), (share,), generator)
    return train[kept], train[held]


def _check_groups(examples: Examples, rows: dict[str, Array]) -> None:
    if examples.group is None:
        return
    seen: dict[str, str] = {}
    for part in PARTS:
        for name in np.unique(examples.group[rows[part]]).tolist():
            if seen.setdefault(name, part) != part:
                raise DataError(f"group {name!r} is in both {seen[name]} and {part}; a group belongs to one part.")


def _check_spans(examples: Examples, rows: dict[str, Array], embargo: int) -> None:
    """Windows of two parts must not look at the same moment, unless groups keep the parts to series of their own."""
    if examples.span is None or examples.group is not None:
        return
    marked = sorted(
        (int(first), int(last), part) for part in PARTS for first, last in np.unique(examples.span[rows[part]], axis=0)
    )
    reach: dict[str, int] = {}
    for first, last, part in marked:
        for other, end in reach.items():
            if other != part and first <= end + embargo:
                raise DataError(
                    f"an example of {part} starts at moment {first}, but one of {other} looks as far as moment {end} "
                    f"(embargo {embargo}); leave the examples between the parts out, or use `by: time`."
                )
        reach[part] = max(last, reach.get(part, last))


SPLIT = Given()
