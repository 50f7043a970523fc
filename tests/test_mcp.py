"""app.py --mcp, as a real MCP client sees it, and the README's example for gradio_client, run as it stands there."""

import ast
import asyncio
import contextlib
import io
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from conftest import apart, free_port
from pictures import photo
from PIL import Image

import app
from vq.tasks import reconstruct as tasks
from vq.ui import build_app, launch_options

ROOT = Path(app.__file__).parent


@pytest.fixture(scope="module")
def url(load, load_prior, statistics):
    page = build_app(load, load_prior, statistics)
    port = free_port()
    _, url, _ = page.launch(server_port=port, prevent_thread_lock=True, quiet=True, mcp_server=True, **launch_options())
    assert page.mcp_server, page.mcp_error
    yield url.rstrip("/")
    page.close()


def session(url, work):
    """What `work(session)` gives, a real client's session over streamable HTTP."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def run():
        address = f"{url}/gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await work(session)

    return apart(asyncio.run, run())


@pytest.fixture(scope="module")
def tools(url):
    listed = session(url, lambda s: s.list_tools())
    return {tool.name: tool for tool in listed.tools}


def test_tools_are_the_endpoints(url, tools):
    from gradio_client import Client

    api = Client(url, verbose=False).view_api(return_format="dict")["named_endpoints"]
    assert {f"/{name}" for name in tools} == set(api) and "reconstruct" in tools


def test_descriptions_are_clean(tools):
    for tool in tools.values():
        assert len(tool.description) > 60 and ",," not in tool.description and "  " not in tool.description
        assert tool.description[0].isupper()
        for name, schema in tool.inputSchema["properties"].items():
            assert schema.get("description"), (tool.name, name)
            kinds = {int: "integer", float: "number", str: "string", bool: "boolean"}
            for value in schema.get("enum", []):
                # A number described as text can't be sent at all.
                assert schema["type"] in (kinds[type(value)], "number" if type(value) is int else ""), (tool.name, name)


def test_a_tool_computes_what_the_task_does(url, load, tmp_path):
    data = io.BytesIO()
    photo().save(data, "PNG")
    import base64

    picture = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    wanted = {"picture": picture, "codecs": ["ae", "vqvae"], "size": 128, "fit": "pad"}
    answer = session(url, lambda s: s.call_tool("reconstruct", wanted))
    assert not answer.isError
    rows = ast.literal_eval(answer.content[0].text)
    for row, r in zip(rows, tasks.reconstruct(load, photo(), ["ae", "vqvae"], 128, "pad"), strict=True):
        assert row["codec"] == r.codec and row["psnr"] == pytest.approx(r.psnr)
        assert row["picture"]["url"].startswith(url)
        with urllib.request.urlopen(row["picture"]["url"]) as response, Image.open(response) as got:
            assert got.tobytes() == r.picture.tobytes()


def test_a_wrong_argument_is_one_sentence(url, tmp_path):
    wanted = {"picture": "data:image/png;base64,AAAA", "codecs": ["ae"]}
    answer = session(url, lambda s: s.call_tool("reconstruct", wanted))
    assert answer.isError
    assert "not a picture" in answer.content[0].text and "Traceback" not in answer.content[0].text


def test_without_the_package_it_is_one_line():
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'mcp' else find(name, *rest)\n"
        "import app; app.main(['--mcp'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip() == f"--mcp needs one more package: python -m pip install {app.MCP}"
    assert app.MCP in (ROOT / "requirements-test.txt").read_text().split()


def test_the_readmes_example_runs(url, tmp_path, monkeypatch, capsys):
    """The very block, but for the address and the picture."""
    (block,) = [
        b
        for b in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        if "gradio_client" in b
    ]
    assert "http://127.0.0.1:7860" in block and '"cat.jpg"' in block
    photo().save(tmp_path / "cat.jpg")
    with contextlib.chdir(tmp_path):
        exec(compile(block.replace("http://127.0.0.1:7860", url), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ae ") for line in lines) and any(line.startswith("vqvae ") for line in lines)
