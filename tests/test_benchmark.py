"""The benchmarks run, compare like with like and write what they print."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny

from vq.benchmark import browser, codec, report, startup, ui
from vq.benchmark.__main__ import PARTS, main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net = tiny.VQVAE(widths=(48, 160))
    net.save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def test_codec_race_end_to_end(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", str(folder), "--size", "32", "--sizes", "32", "64", "--batches", "1", "2", "--rounds", "1"]
    assert main(["codec", "--json", str(tmp_path / "out.json"), *words]) == 0
    out, found = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    race, sizes, batches = found["tables"]
    assert [row[0] for row in race["rows"]] == ["ours", "VQModel", "VQModel, channels-last"]
    column = race["columns"].index
    for row in race["rows"]:
        assert row[column("both ms")] > 0 and row[column("GFLOP")] > 0
        assert abs(row[column("parameters")] / race["rows"][0][column("parameters")] - 1) <= codec.TOLERANCE
    assert min(row[column("x peer")] for row in race["rows"][1:]) == 1
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
    assert (
        main(["startup", "--app", str(app), "--rounds", "1", "--settle", "0", "--json", str(tmp_path / "o.json")]) == 0
    )
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


def test_strokes_are_timed_at_both_grids(server: startup.Server) -> None:
    # In a thread of its own: another test's browser may be open in this one.
    with ThreadPoolExecutor(1) as pool:
        table = pool.submit(ui.strokes, server, 2).result()
    assert [row[0] for row in table.rows] == ["16x16 tokens, 64 px", "64x64 tokens, 256 px"]
    assert all(0 < least <= median <= most for _, median, least, most in table.rows)


def test_without_a_browser_there_is_one_clear_line(server: startup.Server, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=r"^strokes need Chromium: .*$"):
        pool.submit(ui.strokes, server, 1).result()


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--strokes", "-1"]])
def test_counts_that_measure_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", *words]) == 2
    assert capsys.readouterr().err.startswith("error: --rounds")


def test_every_part_is_there() -> None:
    import importlib.util

    assert all(importlib.util.find_spec(module) for module, _ in PARTS.values())
