"""A Hub of our own on loopback: enough of the real one's routes for the real clients to download from and publish to.

    with StandinHub() as hub:
        hub.add("org/repo", {"config.json": b"{}", "model.safetensors": data})
        hub.url          # what HF_ENDPOINT must say
        hub.fault = "cut"

Faults are real: a broken connection is a reset socket, a hanging server sends nothing.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".ckpt")


@dataclass
class Repo:
    """Commits by hash, each a table of files; refs name commits. licence goes on the card."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    licence: str | None = "mit"
    private: bool = False
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)  # advertised instead of the true ones

    def commit(self, files: dict[str, bytes], revision: str = "main") -> str:
        old = self.commits.get(self.refs.get(revision, ""), {})
        files = old | files
        parts = [name.encode() + b"\0" + hashlib.sha256(data).digest() for name, data in sorted(files.items())]
        sha = hashlib.sha1(b"".join(parts) + self.refs.get(revision, "").encode()).hexdigest()
        self.commits[sha] = files
        self.refs[revision] = sha
        return sha

    def find(self, revision: str) -> str | None:
        return self.refs.get(revision) or (revision if revision in self.commits else None)


class StandinHub:
    """Serves until it is closed; `stop` and `start` keep the address.

    fault: None, "hang" or "error" (any request), "hang-file", "cut", "cut-once", "truncate" or "corrupt" (weights),
    "slow" (weights trickle). token: what an upload and a private repository need. away: a pattern of paths and the
    address of the server where these are, as the real Hub sends whoever asks for a large file on to another.
    """

    token = "secret"

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.fault: str | None = None
        self.away: tuple[str, str] | None = None
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str | None] = set()
        self.downloads: Counter[str] = Counter()
        self.lfs: dict[str, bytes] = {}
        self.release = threading.Event()
        self.connections: set[socket.socket] = set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "StandinHub":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self.release.clear()
        handler = type("Handler", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.release.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        # A connection that a client keeps alive would go on being served.
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def add(self, repo: str, files: dict[str, bytes], revision: str = "main", **kwargs: Any) -> str:
        """Commit files to a repository, made if need be. The commit's hash."""
        return self.repos.setdefault(repo, Repo(**kwargs)).commit(files, revision)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandinHub

    def setup(self) -> None:
        super().setup()
        self.hub.connections.add(self.connection)

    def finish(self) -> None:
        self.hub.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.query, path = parse_qs(url.query), unquote(url.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.requests.append((self.command, path))
        self.hub.tokens.add(self.headers.get("Authorization"))
        if self.hub.away and re.fullmatch(self.hub.away[0], path):
            return self.send(302, b"", Location=self.hub.away[1] + self.path)
        if self.hub.fault == "hang":
            self.hub.release.wait(60)
            self.close_connection = True
            return None
        if self.hub.fault == "error":
            return self.send(500, b"{}")
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, path):
                return getattr(self, route)(**match.groupdict())
        self.send(404, b"{}")
        return None

    def send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, content: Any) -> None:
        self.send(200, json.dumps(content).encode())

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def repo(self, name: str) -> Repo | None:
        """The repository, unless an error has been sent."""
        repo = self.hub.repos.get(name)
        if repo is None:
            self.send(404, b"{}", X_Error_Code="RepoNotFound")
        elif repo.private and not self.known:
            self.send(401, b"{}")
            return None
        return repo

    def revision(self, repo: Repo, revision: str) -> str | None:
        sha = repo.find(revision)
        if sha is None:
            self.send(404, b"{}", X_Error_Code="RevisionNotFound")
        return sha

    def info(self, name: str, revision: str = "main") -> None:
        repo = self.repo(name)
        sha = self.revision(repo, revision) if repo else None
        if repo and sha:
            files = [self.sibling(repo, path, data) for path, data in repo.commits[sha].items()]
            card = {"cardData": {"license": repo.licence}} if repo.licence else {}
            self.send_json({"id": name, "sha": sha, "siblings": files, "tags": [], "private": repo.private, **card})

    def sibling(self, repo: Repo, path: str, data: bytes) -> dict[str, Any]:
        size = repo.sizes.get(path, len(data))
        file = {"rfilename": path, "size": size, "blobId": git_hash(data)}
        if path.endswith(LARGE):
            file["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 130}
        return file

    def tree(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        sha = self.revision(repo, revision) if repo else None
        if repo and sha:
            self.send_json(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
                    | ({"lfs": {"oid": etag(path, data), "size": len(data), "pointerSize": 130}} if large(path) else {})
                    for path, data in repo.commits[sha].items()
                ]
            )

    def file(self, name: str, revision: str, path: str) -> None:
        repo = self.repo(name)
        if repo is None:
            return None
        if repo.gated and not self.known:
            return self.send(403, b"{}", X_Error_Code="GatedRepo")
        sha = self.revision(repo, revision)
        if sha is None:
            return None
        data = repo.commits[sha].get(path)
        if data is None:
            return self.send(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        headers = {"ETag": f'"{etag(path, data)}"', "X_Repo_Commit": sha, "Accept_Ranges": "bytes"}
        if self.command == "HEAD":
            return self.send(200, data, "application/octet-stream", **headers)
        self.hub.downloads[path] += 1
        if large(path) and self.hub.fault:
            return self.misbehave(data, headers)
        return self.send_range(data, headers)

    def send_range(self, data: bytes, headers: dict[str, str]) -> None:
        if wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(wanted[1])
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self.send(206, data[start:], "application/octet-stream", **headers)
        return self.send(200, data, "application/octet-stream", **headers)

    def misbehave(self, data: bytes, headers: dict[str, str]) -> None:
        fault, half = self.hub.fault, len(data) // 2
        if fault == "truncate":
            return self.send(200, data[:half], **headers)
        if fault == "corrupt":
            return self.send(200, data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :], **headers)
        if fault == "cut-once" and self.headers.get("Range"):
            return self.send_range(data, headers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "slow":
            for i in range(0, len(data), max(1, len(data) // 50)):
                self.wfile.write(data[i : i + max(1, len(data) // 50)])
                self.wfile.flush()
                if self.hub.release.wait(0.05):
                    break
            return None
        self.wfile.write(data[:half])
        self.wfile.flush()
        if fault == "hang-file":
            self.hub.release.wait(60)
        time.sleep(0.05)
        # No linger: the socket is reset, not closed in good order.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        return None

    # Publishing.

    def create(self) -> None:
        if not self.known:
            return self.send(401, b"{}")
        wanted = json.loads(self.body)
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        if name in self.hub.repos:
            return self.send(409, json.dumps({"url": f"{self.hub.url}/{name}"}).encode())
        self.hub.repos[name] = Repo(licence=None, private=wanted.get("visibility") == "private")
        self.hub.repos[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.send_json({"url": f"{self.hub.url}/{name}", "name": name})

    def preupload(self, name: str, revision: str) -> None:
        files = [f["path"] for f in json.loads(self.body)["files"]]
        mode = {True: "lfs", False: "regular"}
        self.send_json(
            {"files": [{"path": p, "uploadMode": mode[large(p)], "shouldIgnore": False, "oid": None} for p in files]}
        )

    def batch(self, name: str) -> None:
        objects = [
            {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{self.hub.url}/lfs/{o['oid']}"}}}
            for o in json.loads(self.body)["objects"]
        ]
        self.send_json({"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.send(400, b"{}")
        self.hub.lfs[oid] = self.body
        return self.send(200, b"{}")

    def commit(self, name: str, revision: str) -> None:
        if not self.known:
            return self.send(403, b"{}")
        files, gone = {}, []
        for line in self.body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                files[item["value"]["path"]] = self.hub.lfs[item["value"]["oid"]]
            elif item["key"] == "deletedFile":
                gone.append(item["value"]["path"])
        sha = self.hub.repos[name].commit(files, revision)
        for path in gone:
            del self.hub.repos[name].commits[sha][path]
        url = f"{self.hub.url}/{name}/commit/{sha}"
        return self.send_json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def valid(self) -> None:
        bad = "license: none-such" in json.loads(self.body)["content"]
        errors = [{"message": '"license" is not valid'}] if bad else []
        self.send(400 if bad else 200, json.dumps({"errors": errors, "warnings": []}).encode())

    def whoami(self) -> None:
        self.send_json({"name": "me", "type": "user", "orgs": []})


_REPO = r"(?P<name>[^/]+/[^/]+)"
ROUTES = (
    (rf"/api/models/{_REPO}", "info"),
    (rf"/api/models/{_REPO}/revision/(?P<revision>.+)", "info"),
    (rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)(?:/)?", "tree"),
    (rf"/{_REPO}/resolve/(?P<revision>[0-9a-f]{{40}}|refs/pr/\d+|[^/]+)/(?P<path>.+)", "file"),
    (r"/api/repos/create", "create"),
    (rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", "preupload"),
    (rf"/{_REPO}\.git/info/lfs/objects/batch", "batch"),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", "store"),
    (rf"/api/models/{_REPO}/commit/(?P<revision>.+)", "commit"),
    (r"/api/validate-yaml", "valid"),
    (r"/api/whoami-v2", "whoami"),
)


def large(path: str) -> bool:
    return path.endswith(LARGE)


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def etag(path: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if large(path) else git_hash(data)
