"""Gradio's protocol as it goes over the wire: what any program can send, and not only the page."""

import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from gradio.utils import get_upload_folder

API = "/gradio_api"
JSON = {"Content-Type": "application/json"}


class Wire:
    """One visitor: a session of its own, and nothing but HTTP."""

    def __init__(self, url: str, session: str | None = None, patience: float = 60):
        self.session = session or secrets.token_hex(8)
        self.http = httpx.Client(base_url=url, timeout=patience)
        self.told: list[str] = []  # every answer's text

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def upload(self, data: bytes, name: str = "picture.png") -> Any:
        """What the page sends when a file is chosen: Gradio's record of it, or the refusal's status and text."""
        answer = self.http.post(f"{API}/upload", files={"files": (name, data)})
        self.told.append(answer.text)
        if answer.status_code != 200:
            return answer
        return {"path": answer.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def join(self, fn_index: Any, data: Any, event_data: Any = None, **more: Any) -> httpx.Response:
        body = {"fn_index": fn_index, "data": data, "event_data": event_data, "session_hash": self.session} | more
        answer = self.http.post(f"{API}/queue/join", content=json.dumps(body), headers=JSON)
        self.told.append(answer.text)
        return answer

    def messages(self) -> Iterator[dict[str, Any]]:
        """Everything that the session is told, until nothing of it is under way."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    self.told.append(line)
                    message = json.loads(line[5:])
                    yield message
                    if message["msg"] == "close_stream":
                        return

    def ask(self, fn_index: Any, data: Any, event_data: Any = None) -> dict[str, Any]:
        """The last message about one request: its output, or {"error": sentence}."""
        answer = self.join(fn_index, data, event_data)
        if answer.status_code != 200:
            return {"error": answer.json()["detail"], "status": answer.status_code}
        last = [m for m in self.messages() if m["msg"] == "process_completed"][-1]
        return last["output"]

    def call(self, name: str, data: list[Any]) -> dict[str, Any]:
        """An endpoint as curl reaches it: {"data": ...} or {"error": sentence}."""
        answer = self.http.post(f"{API}/call/{name}", content=json.dumps({"data": data}), headers=JSON)
        self.told.append(answer.text)
        if answer.status_code != 200:
            return {"error": answer.json().get("detail"), "status": answer.status_code}
        event, found = None, None
        with self.http.stream("GET", f"{API}/call/{name}/{answer.json()['event_id']}") as stream:
            for line in stream.iter_lines():
                self.told.append(line)
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:") and event in ("complete", "error"):
                    found = json.loads(line[5:])
                    break
        return {"data": found} if event == "complete" else found or {"error": None}


def functions(page: Any) -> dict[str, int]:
    """Indices of the page's handlers, by "component.event" or the endpoint's name."""
    found: dict[str, int] = {}
    for index, fn in page.fns.items():
        if fn.api_name and fn.api_visibility == "public":
            found[fn.api_name] = index
        for target, event in fn.targets:
            block = page.blocks.get(target)
            if block is not None and block.elem_id:
                found.setdefault(f"{block.elem_id}.{event}", index)
    return found


@contextmanager
def served(page: Any, **options: Any) -> Iterator[str]:
    """The page over a real server, on a free port."""
    from conftest import free_port

    from vq.ui import launch_options

    settings = launch_options() | options
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **settings)
    try:
        yield url.rstrip("/")
    finally:
        page.close()


def stored() -> set[str]:
    """Every file in Gradio's folder."""
    return {os.path.join(d, name) for d, _, names in os.walk(get_upload_folder()) for name in names}


class Later:
    """A result from a thread."""

    def __init__(self, work: Any, *args: Any):
        self.result: Any = None
        self.thread = threading.Thread(target=self._run, args=(work, *args), daemon=True)
        self.thread.start()

    def _run(self, work: Any, *args: Any) -> None:
        self.result = work(*args)

    def get(self, seconds: float = 60) -> Any:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "no answer"
        return self.result
