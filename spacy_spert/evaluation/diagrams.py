"""Diagrams of scores as inline SVG: reliability, and precision against recall."""

from html import escape
from typing import List, Optional, Sequence, Tuple

from .calibration import Bin, Curve

# Sizes in pixels. Numbers from 0 to 1 lie in a square of this size, with room for what is written beside it.
SIZE, LEFT, TOP, BELOW, RIGHT = 220, 38, 10, 36, 12
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def draw_reliability(title: str, bins: Sequence[Bin], error: float) -> str:
    """Draw how often predictions are right, in bins of their scores. Calibrated ones lie on the diagonal.

    title (str): What was predicted.
    bins (Sequence[Bin]): The bins.
    error (float): The expected calibration error.
    RETURNS (str): A figure as HTML.
    """
    total = sum(each.n for each in bins)
    filled = [each for each in bins if each.n]
    told = "; ".join(f"{each.low:.2f} to {each.high:.2f}: {each.right:.2f} right of {each.n}" for each in filled)
    parts = [f'<line class="ideal" {_line(0.0, 0.0, 1.0, 1.0)}/>']
    for each in filled:
        x, y, width = LEFT + each.low * SIZE, TOP + (1.0 - each.right) * SIZE, (each.high - each.low) * SIZE
        about = f"{each.n} with scores from {each.low:.2f} to {each.high:.2f}: {each.right:.2f} right"
        parts.append(
            f'<g><title>{about}</title><rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{each.right * SIZE:.1f}"/></g>'
        )
        parts.append(f'<circle class="mean" cx="{_x(each.score):.1f}" cy="{_y(each.right):.1f}" r="3"/>')
    caption = f"{title}: {total} with an expected calibration error of {error:.3f}"
    return _figure(caption, f"Reliability of {title}. {told or 'Nothing was predicted'}", parts, "score", "share right")


def draw_precision_recall(label: str, curve: Curve, chosen: Optional[Tuple[float, float, float]]) -> str:
    """Draw the precision and recall of a label for all thresholds.

    label (str): The label.
    curve (Curve): The curve.
    chosen (Optional[Tuple[float, float, float]]): The threshold that decides, and precision and recall there; None if
        nothing comes out.
    RETURNS (str): A figure as HTML.
    """
    points = list(zip(curve.recall.tolist(), curve.precision.tolist()))
    caption = f"{label}: nothing comes out"
    parts: List[str] = []
    if points:
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="curve" points="{path}"/>')
    if chosen is not None:
        threshold, precision, recall = chosen
        caption = f"{label}: threshold {threshold:.2f}, precision {precision:.2f}, recall {recall:.2f}"
        parts.append(f'<circle class="chosen" cx="{_x(recall):.1f}" cy="{_y(precision):.1f}" r="4.5"/>')
    best = max((f for f in map(_f1, points)), default=0.0)
    return _figure(
        caption, f"Precision and recall of {caption}. The best F1 is {best:.2f}", parts, "recall", "precision"
    )


def _figure(caption: str, about: str, parts: Sequence[str], across: str, up: str) -> str:
    width, height = LEFT + SIZE + RIGHT, TOP + SIZE + BELOW
    grid = []
    for tick in TICKS:
        for ends in ((tick, 0.0, tick, 1.0), (0.0, tick, 1.0, tick)):
            grid.append(f'<line class="grid" {_line(*ends)}/>')
        grid.append(f'<text class="tick" x="{_x(tick):.1f}" y="{TOP + SIZE + 14}">{tick:g}</text>')
        grid.append(f'<text class="tick up" x="{LEFT - 5}" y="{_y(tick) + 4:.1f}">{tick:g}</text>')
    names = (
        f'<text class="axis" x="{LEFT + SIZE / 2:.0f}" y="{height - 6}">{across}</text>'
        f'<text class="axis" transform="translate(10 {TOP + SIZE / 2:.0f}) rotate(-90)">{up}</text>'
    )
    return (
        f'<figure class="diagram"><svg role="img" aria-label="{escape(about)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{"".join(grid)}{names}{"".join(parts)}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'x1="{_x(x1):.1f}" y1="{_y(y1):.1f}" x2="{_x(x2):.1f}" y2="{_y(y2):.1f}"'


def _x(value: float) -> float:
    return LEFT + value * SIZE


def _y(value: float) -> float:
    return TOP + (1.0 - value) * SIZE


def _f1(point: Tuple[float, float]) -> float:
    recall, precision = point
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
