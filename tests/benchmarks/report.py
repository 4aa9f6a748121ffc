"""What a benchmark says: one measure a line, as a table or as JSON."""

from collections.abc import Iterable

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """A figure beside its companion (the same work without our part) and the floor that it must hold.

    `ratio` is value / companion. A rate (`…/s`) holds at or above its floor, anything else below it; a measure
    without a floor always holds.
    """

    name: str
    value: float
    unit: str
    companion: float | None
    ratio: float | None
    floor: float | None
    holds: bool


def measure(
    name: str,
    value: float,
    unit: str,
    companion: float | None = None,
    floor: float | None = None,
    *,
    share: float | None = None,
) -> Measure:
    """A measure, rounded to what is worth reading; `share` is its floor as a share of the companion."""
    rate = unit.endswith("/s")
    if share is not None and companion is not None:
        floor = _rounded(share * companion)
    return Measure(
        name=name,
        value=_rounded(value),
        unit=unit,
        companion=None if companion is None else _rounded(companion),
        ratio=None if not companion else round(value / companion, 2),
        floor=floor,
        holds=floor is None or (value >= floor if rate else value < floor),
    )


def as_json(measures: Iterable[Measure]) -> str:
    """One object a line."""
    return "\n".join(msgspec.json.encode(measure).decode() for measure in measures)


def as_table(measures: Iterable[Measure]) -> str:
    """Aligned columns; figures to the right."""
    head = ("name", "value", "unit", "companion", "ratio", "floor", "holds")
    rows = [head, *(_cells(measure) for measure in measures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(map(_aligned, row, widths, head)).rstrip() for row in rows)


def _cells(measure: Measure) -> tuple[str, ...]:
    floor = (
        "" if measure.floor is None else f"{'>=' if measure.unit.endswith('/s') else '<'} {measure.floor:,g}"
    )
    return (
        measure.name,
        f"{measure.value:,g}",
        measure.unit,
        "" if measure.companion is None else f"{measure.companion:,g}",
        "" if measure.ratio is None else f"{measure.ratio:.2f}",
        floor,
        "" if measure.floor is None else "yes" if measure.holds else "NO",
    )


def _aligned(cell: str, width: int, column: str) -> str:
    return cell.ljust(width) if column in ("name", "unit") else cell.rjust(width)


def _rounded(value: float) -> float:
    return round(value) if value >= 1000 else round(value, 1)
