"""What the README says of the measured figures: headlines beside what is wanted of them, and how costs grow."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CPU = ""  # the device of a file that names none
Row = dict[str, Any]
Point = tuple[float, float]


@dataclass
class Figures:
    """The tables of one device, by part."""

    parts: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, part: str, found: Mapping[str, Any]) -> None:
        self.parts[part] = found

    @property
    def machine(self) -> str:
        """The device of most parts, with what the figures depend on."""
        machines = [found["environment"] for found in self.parts.values()]
        m = machines[0]
        busiest = max((e["load"] for e in machines if e.get("load") is not None), default=None)
        busy = "" if busiest is None else f", load {busiest:.1f} or less before"
        return f"{m['device']}, {m['threads']} threads, {m['precision']}{busy}"

    def rows(self, part: str, title: str) -> list[Row]:
        """The rows of the first table whose title begins so, by column; none if there is no such table."""
        for table in self.parts.get(part, {}).get("tables", []):
            if table["title"].startswith(title):
                return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        return []

    def row(self, part: str, title: str, name: str) -> Row:
        """The row whose first column begins so; empty if there is none."""
        rows = self.rows(part, title)
        return next((row for row in rows if str(next(iter(row.values()))).startswith(name)), {})

    def points(self, part: str, title: str, x: str, y: str) -> list[Point]:
        """Two columns of a table as numbers, where it has both."""
        pairs = [(row.get(x), row.get(y)) for row in self.rows(part, title)]
        return [(float(a), float(b)) for a, b in pairs if a is not None and b is not None]


class Headline(NamedTuple):
    """A figure of the README: what it is and, in brackets, what is wanted of it; where it stands."""

    name: str
    part: str
    title: str
    row: str
    column: str
    form: str

    def text(self, figures: Figures) -> str:
        """Empty if it wasn't measured."""
        value = figures.row(self.part, self.title, self.row).get(self.column)
        return "" if value is None else self.form.format(value)


NAIVE, FLOOR, OVER, ANSWERS = "PixelCNN, batch 16", "the priors and the memory", "ours / floor", "the server answers"
LOAD = ("load", "visitors at once", "64")
HEADLINES = (
    Headline("codec, time over VQModel of equal size (0.5)", "codec", "encode + decode", "ours", "x peer", "{:.2f}"),
    Headline("codec, share of the peak in matrix products", "codec", "encode + decode", "ours", "of peak", "{}"),
    Headline("AutoencoderTiny, time over ours", "codec", "public sizes", "AutoencoderTiny", "x ours", "{:.1f}"),
    Headline("AutoencoderKL, time over ours", "codec", "public sizes", "AutoencoderKL", "x ours", "{:.0f}"),
    Headline("transformer, speed over GPT-2, batch 1 (2)", "priors", "tokens per", "batch 1", "ours / GPT-2", "{:.1f}"),
    Headline("the same, batch 16 (1.5)", "priors", "tokens per", "batch 16", "ours / GPT-2", "{:.1f}"),
    Headline("PixelCNN, speed over naive, batch 16 (30)", "priors", "incremental", NAIVE, "naive / ours", "{:.0f}"),
    Headline("transformer, time over the memory's floor", "priors", FLOOR, "transformer, batch 1", OVER, "{:.1f}"),
    Headline("PixelCNN, the same", "priors", FLOOR, "PixelCNN, batch 1", OVER, "{:.1f}"),
    Headline("page, added to a 64 px reconstruction (60)", "ui", "endpoints", "/reconstruct", "added ms", "{:.0f} ms"),
    Headline("an edit, pointer up to painted picture", "ui", "an edit", "16x16", "median ms", "{:.0f} ms"),
    Headline("server answering, over `import gradio, torch` (1.2)", "startup", "start", ANSWERS, "x bare", "{:.2f}"),
    Headline("first picture, from the command on", "startup", "start", "a picture", "s", "{:.1f} s"),
    Headline("memory when the server answers", "startup", "start", ANSWERS, "resident MB", "{:.0f} MB"),
    Headline("memory once all tabs were used", "startup", "start", "Sample used", "resident MB", "{:.0f} MB"),
    Headline("64 visitors, errors (0)", *LOAD, "errors", "{}"),
    Headline("64 visitors, least served over the mean (0.5)", *LOAD, "least / mean", "{:.2f}"),
    Headline("64 visitors, 95th percentile over perfect sharing (3)", *LOAD, "95 % / ideal", "{:.2f}"),
    Headline("64 visitors, memory at the end over that after 1 min (1.1)", *LOAD, "end / 1 min", "{:.2f}"),
)


class Growth(NamedTuple):
    """How a cost grows: the columns of a table, and the sentence to say; see `sentences` for what stands in it."""

    name: str
    part: str
    title: str
    x: str
    y: str
    text: str


BATCH = (
    "{b:.0f} pictures take {times:.0f} times as long as {a:.0f}, which grows with the batch to the power {power:.2f}."
)
GROWTHS = (
    Growth(
        *("Size", "codec", "growth with the picture's side", "side", "ms"),
        "from {a:.0f} to {b:.0f} px there are {pixels:.0f} times as many pixels, and encoding and decoding takes "
        "{times:.0f} times as long: it grows with the pixels to the power {half_power:.2f}.",
    ),
    Growth("Batch", "codec", "growth with the batch", "batch", "ms", BATCH),
    Growth(
        *("Tokens", "priors", "growth with the tokens", "tokens", "s"),
        "a picture of {b:,.0f} tokens takes {times:.0f} times as long as one of {a:,.0f}: "
        "{small_each:.2f} ms a token become {large_each:.2f}; each reads all that came before it.",
    ),
    Growth("Batch of a prior", "priors", "growth with the batch, transformer", "batch", "s", BATCH),
    Growth(
        *("Visitors", "load", "visitors at once", "visitors", "median s"),
        "with {b:.0f} at once the median answer takes {times:.0f} times as long as with {a:.0f}; "
        "perfect sharing would be {ratio:.0f} times.",
    ),
)


def sentences(figures: Figures) -> list[str]:
    """How the cost grows with size, batch, tokens and visitors, from the smallest x, a, to the largest, b."""
    found = []
    for growth in GROWTHS:
        points = figures.points(growth.part, growth.title, growth.x, growth.y)
        if len(points) > 1:
            (a, small), (b, large) = points[0], points[-1]
            known = {"a": a, "b": b, "ratio": b / a, "times": large / small, "power": exponent(points)}
            known |= {"small_each": 1000 * small / a, "large_each": 1000 * large / b}
            known |= {"pixels": (b / a) ** 2, "half_power": known["power"] / 2}
            text = growth.text.format(**known)
            found.append(f"{growth.name}: {text}")
    return found


def exponent(points: Sequence[Point]) -> float:
    """The p of y = c x^p that fits best, in logarithms. Needs two different x."""
    x, y = ([math.log(p[i]) for p in points] for i in (0, 1))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
    return covariance / sum((u - mean_x) ** 2 for u in x)
