"""The benchmarks run, compare like with like and write what they print."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from conftest import apart, free_port
from PIL import Image

from vq.benchmark import browser, codec, plot, report, startup, ui, visitor
from vq.benchmark import load as crowd
from vq.benchmark.__main__ import PARTS, main
from vq.benchmark.figures import HEADLINES, LOAD, exponent


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """codec.json of a race between tiny codecs, and what was printed."""
    folder, out = tmp_path_factory.mktemp("raced"), io.StringIO()
    tiny.VQVAE(widths=(48, 160)).save_pretrained(folder / "net")
    words = ["--model", str(folder / "net"), "--size", "32", "--sizes", "32", "64", "--batches", "1", "2"]
    words += ["--rounds", "1", "--public", "AutoencoderTiny", "--json", str(folder / "codec.json")]
    with contextlib.redirect_stdout(out):
        assert main(["codec", *words]) == 0
    return folder / "codec.json", out.getvalue()


def test_codec_race_end_to_end(raced: tuple[Path, str]) -> None:
    path, out = raced
    found = json.loads(path.read_text())
    race, public, sizes, batches = found["tables"]
    assert [row[0] for row in race["rows"]] == ["ours", "VQModel", "VQModel, channels-last"]
    column = race["columns"].index
    for row in race["rows"]:
        assert row[column("both ms")] > 0 and row[column("GFLOP")] > 0
        assert abs(row[column("parameters")] / race["rows"][0][column("parameters")] - 1) <= codec.TOLERANCE
    assert min(row[column("x peer")] for row in race["rows"][1:]) == 1
    assert [row[0] for row in public["rows"]] == ["ours", "AutoencoderTiny", "AutoencoderTiny, channels-last"]
    assert all(row[2] > 0 and row[4] > 0 for row in public["rows"])
    assert len(sizes["rows"]) == len(batches["rows"]) == 2 and "32 px" in out
    assert found["environment"]["threads"] >= 1 and found["environment"]["precision"] == "float32"


@pytest.mark.parametrize(
    "config",
    [
        {"widths": (48, 160)},
        {"widths": (48, 128, 256), "encoder_depths": (0, 1, 1), "decoder_depths": (1, 1, 1)},
    ],
)
def test_the_peer_is_of_equal_size_and_factor(config: dict[str, tuple[int, ...]]) -> None:
    ours = tiny.VQVAE(**config)
    parameters = sum(p.numel() for p in ours.parameters())
    peer = codec.build_peer(parameters, ours)
    assert abs(sum(p.numel() for p in peer.parameters()) / parameters - 1) <= codec.TOLERANCE
    assert 2 ** (len(peer.config.block_out_channels) - 1) == ours.factor
    assert peer.config.layers_per_block == 1 and not peer.config.mid_block_add_attention
    assert (peer.config.num_vq_embeddings, peer.config.vq_embed_dim) == (ours.codebook_size, 8)


@pytest.mark.parametrize("name", list(codec.PUBLIC))
def test_public_peers_have_their_public_sizes(name: str) -> None:
    with torch.device("meta"):
        peer = codec.build_public(name)
        x = torch.empty(1, 3, 64, 64)
        contestant = codec._public(name, "", peer)
        assert sum(p.numel() for p in peer.parameters()) == codec.PUBLIC[name]
        assert contestant.encode(x).shape == (1, 4, 8, 8) and contestant.round_trip(x).shape == x.shape


def test_a_vector_codec_has_no_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.model("ae").save_pretrained(tmp_path / "ae")
    assert main(["codec", "--model", str(tmp_path / "ae")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_tasks_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []
    monkeypatch.setattr(report.time, "perf_counter", lambda: now[0])

    def task(name: str, seconds: float) -> None:
        calls.append(name)
        now[0] += seconds

    found = report.medians({"a": lambda: task("a", 1.0), "b": lambda: task("b", 3.0)}, rounds=3, warm_up=1)
    assert found == {"a": 1.0, "b": 3.0} and calls == ["a", "b"] * 4


def test_three_turns_are_enough_when_time_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(report.time, "perf_counter", lambda: now[0])
    calls: list[float] = []

    def task() -> None:
        calls.append(now[0])
        now[0] += 10.0

    assert report.medians({"a": task}, rounds=9, warm_up=1, budget=15.0) == {"a": 10.0}
    assert len(calls) == 1 + report.ENOUGH
    report.medians({"a": task}, rounds=2, warm_up=0, budget=1000.0)
    assert len(calls) == 1 + report.ENOUGH + 2


def test_tables_line_up() -> None:
    lines = str(report.Table("title", ["", "ms"], [["one", 1.2345], ["another", 12345.6], ["none", None]])).splitlines()
    assert lines[0] == "title" and lines[2] == "one        1.23" and lines[3] == "another  12,346"
    assert len({len(line) for line in lines[1:]}) == 1


SERVER = """
import sys, http.server, time
time.sleep(0.2)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Page).serve_forever()
"""


def test_startup_waits_for_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = tmp_path / "app.py"
    app.write_text(SERVER)
    start = startup.launch(app, 0.0)
    assert start.seconds > 0.2 and start.resident > 1_000_000
    monkeypatch.setattr(startup, "BARE", "pass")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    words = ["--app", str(app), "--rounds", "1", "--settle", "0", "--no-tabs", "--json", str(tmp_path / "o.json")]
    assert main(["startup", *words]) == 0
    (table,) = json.loads((tmp_path / "o.json").read_text())["tables"]
    answer, _, bare = table["rows"]
    assert answer[1] > 0.2 and answer[2] == pytest.approx(answer[1] / bare[1])


def test_a_server_that_dies_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = tmp_path / "app.py"
    app.write_text("raise SystemExit('no port today')")
    assert main(["startup", "--app", str(app), "--rounds", "1"]) == 2
    assert "no port today" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        startup.run([sys.executable, "-c", "1/0"])


@pytest.fixture
def server(page_url: str, load, load_prior, monkeypatch: pytest.MonkeyPatch) -> startup.Server:
    monkeypatch.setattr(ui, "load", load)
    monkeypatch.setattr(ui, "load_prior", load_prior)
    return startup.Server(page_url, 0, 0.0)


def test_every_endpoint_is_raced_against_its_task(server: startup.Server) -> None:
    table = ui.requests(server, 1)
    assert [str(row[0]).partition(",")[0].split()[0] for row in table.rows] == [
        "/reconstruct",
        "/reconstruct",
        "/interpolate",
        "/edit_tokens",
        "/sample",
    ]
    for _, page, alone, added in table.rows:
        assert alone > 0 and page == pytest.approx(alone + added)


def test_the_request_and_its_task_are_the_same_work(server: startup.Server, load, monkeypatch) -> None:
    """Both sides of a row ask for the same codecs, so that the difference is the page's."""
    asked: list[str] = []
    monkeypatch.setattr(ui, "load", lambda name: asked.append(name) or load(name))
    picture = ui.open_picture(ui.PICTURE)
    for name, (_, task) in ui.pairs(ui.Client(server.url, verbose=False), None, picture).items():
        asked.clear()
        task()
        if name.startswith("/reconstruct"):
            assert asked == (["vqvae"] if "VQ-VAE" in name else list(ui.CODECS))


def test_every_tab_is_used_and_memory_read_after_it(server: startup.Server, load_prior, monkeypatch) -> None:
    asked: list[str] = []
    predict = startup.Client.predict

    def noted(client: startup.Client, *words: object, api_name: str) -> object:
        asked.append(api_name)
        return predict(client, *words, api_name=api_name)

    monkeypatch.setattr(startup.Client, "predict", noted)
    found = startup.after_tabs(startup.connect(server), os.getpid())
    assert list(found) == ["Reconstruct", "Interpolate", "Edit tokens", "Sample"]
    assert asked == ["/reconstruct", "/interpolate", "/edit_tokens", "/sample", "/sample"]
    assert all(size > 10_000_000 for size in found.values())


def test_strokes_are_timed_at_both_grids(server: startup.Server) -> None:
    table = apart(ui.strokes, server, 2)
    assert [row[0] for row in table.rows] == ["16x16 tokens, 64 px", "64x64 tokens, 256 px"]
    assert all(0 < least <= median <= most for _, median, least, most in table.rows)


def test_without_a_browser_there_is_one_clear_line(server: startup.Server, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"^strokes need Chromium: .*$"):
        apart(ui.strokes, server, 1)


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--strokes", "-1"]])
def test_counts_that_measure_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", *words]) == 2
    assert capsys.readouterr().err.startswith("error: --rounds")


def test_every_part_is_there() -> None:
    import importlib.util

    assert all(importlib.util.find_spec(module) for module, _ in PARTS.values())


def test_visitors_get_what_they_wish_for(server: startup.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "ALONE", 1)
    monkeypatch.setattr(visitor, "CODES", 32)
    server = startup.Server(server.url, os.getpid(), 0.0)
    summary, wishes, memory = apart(crowd.tables, server, [1, 3], 1.0)
    for count, row in zip((1, 3), summary.rows, strict=True):
        found = dict(zip(summary.columns, row, strict=True))
        assert found["visitors"] == str(count) and found["served"] >= count
        assert found["errors"] == found["turned away"] == 0 and 0 < found["least / mean"] <= 1
        assert 0 < found["median s"] <= found["95 % s"] and found["end / 1 min"] == pytest.approx(1, abs=0.5)
        assert found["ideal s"] == pytest.approx(count * summary.rows[0][5])
    assert {row[0] for row in wishes.rows} == set(visitor.WISHES)
    assert sum(row[2] for row in wishes.rows) == summary.rows[1][1]
    assert {row[0] for row in memory.rows} == {"1", "3"}


@pytest.fixture
def narrow_url(load, load_prior) -> Iterator[str]:
    """A page whose queue holds next to nothing."""
    from vq.ui import build_app, launch_options
    from vq.ui.limits import Limits

    page = build_app(load, load_prior, limits=Limits(waiting=0))
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    yield url.rstrip("/")
    page.close()


def test_a_visitor_who_is_turned_away_comes_back_later(narrow_url: str) -> None:
    found = apart(asyncio.run, crowd.gather(startup.Server(narrow_url, os.getpid(), 0.0), 2, 0.5))
    for one in found.visitors:
        assert one.turned_away >= 1 and not one.errors and not one.served
    assert found.seconds >= 1 and found.fairness == 0


def test_an_error_is_told_from_a_full_queue(server: startup.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "CODES", 10**6)
    monkeypatch.setattr(visitor, "WISHES", ("/edit_tokens",))
    found = apart(asyncio.run, crowd.gather(startup.Server(server.url, os.getpid(), 0.0), 1, 0.1))
    (one,) = found.visitors
    assert one.errors and one.errors[0].startswith("/edit_tokens: ") and not one.turned_away


def test_the_client_knows_the_queue_by_its_words() -> None:
    from vq.ui import limits

    assert visitor.RETRY.pattern == limits.RETRY.pattern


def test_shares_and_percentiles() -> None:
    def made(count: int) -> visitor.Visitor:
        one = visitor.Visitor.__new__(visitor.Visitor)
        one.served = [visitor.Served("/sample", 0.0, 1.0)] * count
        return one

    memory = [(float(i), 100 + i) for i in range(100)]
    found = crowd.Crowd([made(1), made(3)], 100.0, memory)
    assert found.fairness == 0.5 and found.latencies == [1.0] * 4
    assert found.resident(60) == 155 and found.resident(100) == 194.5
    values = [float(i) for i in range(100)]
    assert (
        crowd.percentile(values, 0.95) == 95 and crowd.percentile(values, 1) == 99 and crowd.percentile([], 0.5) is None
    )


@pytest.mark.parametrize("words", [["--clients", "0"], ["--minutes", "0"]])
def test_a_crowd_of_nobody_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", *words]) == 2
    assert capsys.readouterr().err.startswith("error: --clients")


def test_growth_is_fitted_in_logarithms() -> None:
    assert exponent([(x, 3 * x**1.5) for x in (1, 2, 8, 32)]) == pytest.approx(1.5)


def written(folder: Path, part: str, tables: list[report.Table], device: str = "") -> None:
    machine = report.environment()
    found = report.as_json(part, tables, machine)
    (folder / f"{part}{device}.json").write_text(json.dumps(found))


def filled() -> dict[str, list[report.Table]]:
    """Tables with every figure that the README has, made up so that growth is known."""
    parts: dict[str, dict[str, report.Table]] = {}
    for h in HEADLINES:
        tables = parts.setdefault(h.part, {})
        known = tables.setdefault(h.title, report.Table(h.title, [""], []))
        columns = list(dict.fromkeys([*known.columns, h.column]))
        names = list(dict.fromkeys([*(row[0] for row in known.rows), h.row]))
        rows = [[name, *[2.0] * (len(columns) - 1)] for name in names]
        tables[h.title] = report.Table(h.title, columns, rows)
    sides = [["", side, side**2] for side in (64, 128)]
    parts["codec"]["growth"] = report.Table("growth with the picture's side, batch 1", ["", "side", "ms"], sides)
    tokens = [["", count, count / 500] for count in (64, 256, 1024)]
    parts["priors"]["growth"] = report.Table("growth with the tokens, transformer", ["", "tokens", "s"], tokens)
    crowds = parts["load"][LOAD[1]]
    columns = ["visitors", *crowds.columns[1:], "median s"]
    rows = [[str(n), *crowds.rows[0][1:], n / 10] for n in (1, 4, 16, 64)]
    parts["load"][LOAD[1]] = report.Table(crowds.title, columns, rows)
    return {part: list(tables.values()) for part, tables in parts.items()}


def test_the_readme_gets_every_figure(tmp_path: Path) -> None:
    for part, tables in filled().items():
        written(tmp_path, part, tables)
    written(tmp_path, "codec", filled()["codec"], "-cuda")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{plot.MARKS[0]}\nold\n{plot.MARKS[1]}\nafter\n")
    text = plot.section(plot.read(tmp_path), "docs/benchmark.png")
    plot.write_section(readme, text)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(HEADLINES)
    for row, headline in zip(rows, HEADLINES, strict=True):
        _, name, here, gpu, _ = (cell.strip() for cell in row.split("|"))
        assert name == headline.name and here == headline.form.format(2.0)
        assert gpu == (here if headline.part == "codec" else "")
    assert "- Size: from 64 to 128 px there are 4 times as many pixels" in text and "to the power 1.00" in text
    assert (
        "- Tokens: a picture of 1,024 tokens takes 16 times as long as one of 64: 2.00 ms a token become 2.00" in text
    )
    assert (
        "- Visitors: with 64 at once the median answer takes 64 times as long as with 1; perfect sharing would" in text
    )
    assert readme.read_text() == f"before\n{plot.MARKS[0]}\n{text}\n{plot.MARKS[1]}\nafter\n"


def test_the_plot_draws_what_the_parts_write(raced: tuple[Path, str], tmp_path: Path) -> None:
    out, readme = tmp_path / "figures", tmp_path / "README.md"
    out.mkdir()
    shutil.copy(raced[0], out)
    readme.write_text("".join(plot.MARKS))
    assert plot.main(["--json-dir", str(out), "--readme", str(readme)]) == 0
    assert Image.open(out / "benchmark.png").size[0] > 1000
    text = readme.read_text()
    assert "figures/benchmark.png" in text and "| codec, time over VQModel" in text and "- Batch: 2 pictures" in text
    figures = plot.read(out)[""]
    assert [x for x, _ in figures.points("codec", "growth with the batch", "batch", "ms")] == [1, 2]
    assert [x for x, _ in figures.points("codec", "growth with the picture's side", "side", "ms")] == [32, 64]


def test_nothing_measured_or_no_place_for_it_is_one_line(raced, tmp_path: Path, capsys) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    assert plot.main(["--json-dir", str(tmp_path), "--readme", str(readme)]) == 2
    shutil.copy(raced[0], tmp_path)
    assert plot.main(["--json-dir", str(tmp_path), "--readme", str(readme)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "nothing was measured" in first and plot.MARKS[0] in second and readme.read_text() == "no marks"


def test_all_runs_each_part_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Done:
        returncode = 0

    monkeypatch.setattr(subprocess, "run", lambda command: commands.append(command[3:]) or Done)
    assert main(["all", "--json-dir", str(tmp_path / "out")]) == 0
    assert [c[0] for c in commands] == ["codec", "priors", "ui", "startup"]
    assert commands[0][1:] == ["--json", str(tmp_path / "out" / "codec.json")]
    commands.clear()
    assert main(["all", "--json-dir", str(tmp_path / "out"), "--device", "cuda"]) == 0
    assert [c[0] for c in commands] == ["codec", "priors"] and commands[1][-1].endswith("priors-cuda.json")


def test_priors_end_to_end(tmp_path: Path) -> None:
    """Each table, on networks of a few thousand parameters; the peer is GPT-2 of their size."""
    from tiny_priors import tiny_pixelcnn, tiny_transformer

    for name, prior in (("transformer", tiny_transformer((4, 4))), ("pixelcnn", tiny_pixelcnn((4, 4)))):
        prior.save_pretrained(tmp_path / name)
    tiny.VQVAE(codebook_size=23).save_pretrained(tmp_path / "codec")
    words = [word for name in ("transformer", "pixelcnn") for word in (f"--{name}", str(tmp_path / name))]
    words += ["--codecs", str(tmp_path / "codec"), str(tmp_path / "codec"), "--batches", "1", "2", "--rounds", "1"]
    words += ["--grow-tokens", "16", "32", "--grow-batches", "1", "2", "--json", str(tmp_path / "priors.json")]
    assert main(["priors", *words]) == 0
    figures = plot.Figures({"priors": json.loads((tmp_path / "priors.json").read_text())})
    for headline in HEADLINES:
        if headline.part == "priors" and "batch 16" not in headline.row:
            assert float(headline.text(figures)) > 0, headline.name
    assert [x for x, _ in figures.points("priors", "growth with the tokens", "tokens", "s")] == [16, 32]
    for name in ("transformer", "PixelCNN"):
        assert [x for x, _ in figures.points("priors", f"growth with the batch, {name}", "batch", "s")] == [1, 2]


@pytest.mark.parametrize("n", [1, 3])
def test_what_a_token_touches(n: int) -> None:
    """The floor counts what must be read, no more: without embeddings, the vertical stack once a row."""
    from tiny_priors import tiny_pixelcnn, tiny_transformer

    from vq.benchmark.priors import touched

    transformer, pixelcnn = tiny_transformer((4, 4 * n)), tiny_pixelcnn((4, 4 * n))
    weights, cache = touched(transformer)
    assert weights == 4 * (2 * (12 * 24**2 + 2 * 24) + 24 * 23 + 23) and cache == 4 * 2 * 2 * 24 * 8 * n
    depth, width = len(pixelcnn.blocks), 12  # and codes 6 wide
    vertical = depth * (2 * width * width * 15 + 2 * width + (2 * width) ** 2 + 2 * width) + 6 * width
    cell = depth * (2 * width * width * 3 + 2 * width + width**2 + width) + 6 * width
    ends = 2 * width * width + 2 * width + 2 * width * 6 + 6 + 6 * 23 + 23
    assert touched(pixelcnn)[0] == 4 * (vertical // (4 * n) + cell + ends)
