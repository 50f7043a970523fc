"""What `make check` says of installed packages: pip-audit as it is, over advisories that a server on loopback gives."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import audit
import pytest
from conftest import free_port


def advisory(name: str, fixed: list[str], **more: str) -> dict[str, object]:
    """As OSV describes one: https://ossf.github.io/osv-schema/."""
    events = [{"introduced": "0"}, *({"fixed": version} for version in fixed)]
    affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": f"GHSA-{name}", "aliases": [], "summary": "bad", "affected": [affected]} | more


@pytest.fixture
def source(monkeypatch):
    """Advisories by package, and the names that were asked for."""
    known: dict[str, list[dict[str, object]]] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(query["package"]["name"])
            found = known.get(query["package"]["name"])
            answer = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(audit, "SOURCES", ("osv",))
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}")
    yield known, asked
    server.shutdown()


def test_what_is_known_to_be_vulnerable_fails(source, capfd):
    known, asked = source
    known["pillow"] = [advisory("pillow", ["990.1"]), advisory("pillow", ["991"], withdrawn="2026-01-01T00:00:00Z")]
    known["pytest"] = [advisory("pytest", [])]  # which no requirement of the app's names
    assert audit.main() == 1
    said = capfd.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("pillow ") and lines[1].startswith("pytest ")
    assert lines[0].endswith(": GHSA-pillow (fixed in: 990.1)") and lines[1].endswith(
        ": GHSA-pytest (fixed in: none yet)"
    )
    assert said.out.startswith("Audited ") and said.out.endswith("packages: 2 known vulnerabilities.\n")
    assert {"gradio", "torch", "pillow", "pytest"} <= set(asked)


def test_without_known_vulnerabilities_it_passes(monkeypatch, capfd):
    # One source doesn't know the packages, the next one does; as pip-audit writes it.
    skipped, clean = {"name": "a", "skip_reason": "unknown"}, {"name": "a", "version": "1.0", "vulns": []}
    monkeypatch.setattr(audit, "audit", lambda source, *_, **__: [clean if source == "osv" else skipped])
    assert audit.main() == 0
    assert capfd.readouterr().out == "Audited 1 packages: 0 known vulnerabilities.\n"


def test_nobody_to_ask_is_no_failure(monkeypatch, capfd):
    monkeypatch.setattr(audit, "SOURCES", ("osv",))
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{free_port()}")
    assert audit.main() == 0
    assert capfd.readouterr().out == "Not audited: no source of advisories can be reached.\n"
