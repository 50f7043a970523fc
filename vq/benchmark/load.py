"""Many visitors at once: HTTP clients that ask without a pause, for minutes; what each of them gets.

Ideal is perfect sharing: with n visitors everything takes n times as long as alone. Alone means one visitor, on the
same server, just before. The clients compute on the machine that serves them, as little as they can.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from vq.benchmark.report import Cell, Table
from vq.benchmark.startup import PICTURE, ROOT, Server, resident, serving
from vq.benchmark.visitor import PATIENCE, WISHES, Visitor
from vq.image import open_picture

ALONE = 3  # turns through all wishes, by one visitor, that tell what each takes alone
POINTS = 20  # of memory over time


@dataclass(frozen=True)
class Crowd:
    """So many visitors, what they got, how long they stayed. memory: (seconds, bytes) of the server, each second."""

    visitors: Sequence[Visitor]
    seconds: float
    memory: Sequence[tuple[float, int]]

    @property
    def latencies(self) -> list[float]:
        return sorted(s.seconds for v in self.visitors for s in v.served)

    @property
    def fairness(self) -> float:
        """What the least served visitor got, as a share of what all got on average."""
        counts = [len(v.served) for v in self.visitors]
        return min(counts) / statistics.mean(counts) if any(counts) else 0.0

    def resident(self, second: float) -> float:
        """Bytes around that time: the median of the tenth of the run before it."""
        near = [size for at, size in self.memory if second - self.seconds / 10 <= at <= second]
        return statistics.median(near or [size for _, size in self.memory])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64], help="visitors at once")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each number of visitors")
    parser.add_argument("--settle", type=float, default=20.0, metavar="S", help="seconds given to the warm-up thread")
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", metavar="FILE", help="the server's script")
    parser.add_argument("--device", default="cpu", help="what the server computes on")


def measure(args: argparse.Namespace) -> list[Table]:
    if min(args.clients) < 1 or args.minutes <= 0:
        raise ValueError("--clients must be 1 or more, --minutes more than 0")
    with serving(args.app, "--device", args.device) as server:
        time.sleep(args.settle)
        return tables(server, args.clients, 60 * args.minutes)


def tables(server: Server, clients: Sequence[int], seconds: float) -> list[Table]:
    alone = medians_alone(server)
    crowds = {n: asyncio.run(gather(server, n, seconds)) for n in clients}
    largest = crowds[max(clients)]
    return [
        _summary(crowds, statistics.mean(alone[wish] for wish in WISHES)),
        _wishes(largest, alone),
        _memory(crowds),
        *([failures] if (failures := _failures(crowds)).rows else []),
    ]


def medians_alone(server: Server) -> dict[str, float]:
    """Seconds that each wish takes one visitor who is alone."""

    async def turns() -> Visitor:
        async with _connect(server) as http:
            visitor = Visitor(http, open_picture(PICTURE), 0, time.perf_counter())
            for i in range((1 + ALONE) * len(WISHES)):
                begin = time.perf_counter()
                await visitor.make(WISHES[i % len(WISHES)])
                visitor.note(WISHES[i % len(WISHES)], begin)
            return visitor

    served = asyncio.run(turns()).served[len(WISHES) :]
    return {wish: statistics.median(s.seconds for s in served if s.wish == wish) for wish in WISHES}


async def gather(server: Server, count: int, seconds: float) -> Crowd:
    """`count` visitors for `seconds`. What has begun by then is waited for."""
    source, memory, clock = open_picture(PICTURE), [], time.perf_counter()

    async def watch() -> None:
        while True:
            memory.append((time.perf_counter() - clock, resident(server.pid)))
            await asyncio.sleep(min(1.0, seconds / POINTS))

    async with _connect(server) as http:
        visitors = [Visitor(http, source, i, clock) for i in range(count)]
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(visitor.stay(clock + seconds) for visitor in visitors))
        watching.cancel()
    return Crowd(visitors, time.perf_counter() - clock, memory)


def _connect(server: Server) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=PATIENCE, limits=limits)


def _summary(crowds: dict[int, Crowd], alone: float) -> Table:
    rows: list[Sequence[Cell]] = []
    for count, crowd in crowds.items():
        latencies, ideal = crowd.latencies, count * alone
        slow = percentile(latencies, 0.95)
        minute, end = (crowd.resident(at) / 1e6 for at in (first_minute(crowd.seconds), crowd.seconds))
        turned = sum(v.turned_away for v in crowd.visitors)
        errors = sum(len(v.errors) for v in crowd.visitors)
        times = [percentile(latencies, 0.5), slow, ideal, None if slow is None else slow / ideal]
        served: list[Cell] = [str(count), len(latencies), len(latencies) / crowd.seconds]
        rows.append([*served, *times, turned, errors, crowd.fairness, minute, end, end / minute])
    columns = ["visitors", "served", "served/s", "median s", "95 % s", "ideal s", "95 % / ideal", "turned away"]
    columns += ["errors", "least / mean", "MB after 1 min", "MB at the end", "end / 1 min"]
    note = f"{max(c.seconds for c in crowds.values()):.0f} s each, no pause between requests; ideal: visitors x "
    note += f"{alone:.3f} s, the mean of what the requests take alone. Turned away: told to try again in N s, and did"
    return Table("visitors at once", columns, rows, note)


def _wishes(crowd: Crowd, alone: dict[str, float]) -> Table:
    rows: list[Sequence[Cell]] = []
    for wish, seconds in alone.items():
        found = sorted(s.seconds for v in crowd.visitors for s in v.served if s.wish == wish)
        rows.append([wish, 1000 * seconds, len(found), percentile(found, 0.5), percentile(found, 0.95)])
    title = f"what {len(crowd.visitors)} visitors wished for"
    return Table(title, ["64 px", "alone ms", "served", "median s", "95 % s"], rows, "uploads and downloads included")


def _memory(crowds: dict[int, Crowd]) -> Table:
    rows: list[Sequence[Cell]] = []
    for count, crowd in crowds.items():
        step = max(1, len(crowd.memory) // POINTS)
        rows += [[str(count), at, size / 1e6] for at, size in crowd.memory[::step]]
    return Table("memory over time", ["visitors", "s", "resident MB"], rows, "the server and its children")


def _failures(crowds: dict[int, Crowd]) -> Table:
    seen = dict.fromkeys(error for crowd in crowds.values() for v in crowd.visitors for error in v.errors)
    return Table("errors, each kind once", [""], [[error] for error in list(seen)[:10]])


def first_minute(seconds: float) -> float:
    """When memory is looked at for the first time: a run of less than two minutes has no minute to spare."""
    return min(60.0, seconds / 2)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which that share of the sorted `values` lies; None of none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
