"""What all parts share: fair timing, the machine they ran on, tables as text and as JSON."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

Cell = str | int | float | None
ENOUGH = 3  # turns that make a median when time is short


@dataclass(frozen=True)
class Table:
    """Rows of figures under a title. Numbers stay numbers; None is a figure that does not apply."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def __str__(self) -> str:
        cells = [list(map(str, self.columns)), *([_text(c) for c in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in cells
        ]
        return "\n".join([self.title, *lines, *([self.note] if self.note else [])])


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def medians(
    tasks: Mapping[str, Callable[[], object]], rounds: int = 7, warm_up: int = 2, budget: float = math.inf
) -> dict[str, float]:
    """Median seconds of each task. Tasks take turns, so that whatever else the machine does hits all of them alike.

    budget: after so many seconds three turns are enough.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    begin = time.perf_counter()
    for i in range(warm_up + rounds):
        if i >= warm_up + ENOUGH and time.perf_counter() - begin > budget:
            break
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            synchronise()
            if i >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def synchronise() -> None:
    """Wait for the GPU, if there is one at work."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def matmul_peak(device: torch.device, dtype: torch.dtype = torch.float32, side: int = 2048, rounds: int = 10) -> float:
    """FLOP/s of the fastest square matrix multiplication seen: what this machine can do at its best."""
    a, b = torch.randn(2, side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(rounds):
        synchronise()
        start = time.perf_counter()
        torch.mm(a, b)
        synchronise()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def environment(device: str = "cpu") -> dict[str, Any]:
    """What the figures depend on besides the code. The load tells whether the machine had anything else to do."""
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else None
    return {
        "device": gpu or _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "precision": _precision(gpu is not None),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _precision(gpu: bool) -> str:
    if not gpu:
        return "float32"
    tf32 = [
        name
        for name, used in (
            ("convolutions", torch.backends.cudnn.allow_tf32),
            ("matrix products", torch.backends.cuda.matmul.allow_tf32),
        )
        if used
    ]
    return "float32" + (f", TF32 in {' and '.join(tf32)}" if tf32 else "")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def as_json(part: str, tables: Sequence[Table], machine: Mapping[str, Any]) -> dict[str, Any]:
    return {"part": part, "environment": dict(machine), "tables": [asdict(table) for table in tables]}
