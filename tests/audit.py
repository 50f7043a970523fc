"""Look every installed package up among known vulnerabilities; without a source of advisories, say so in one line.

python tests/audit.py      exit code 1 if a package is known to be vulnerable
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
SOURCES = ("pypi", "osv")
PATIENCE = 240  # seconds


def main() -> int:
    for source in SOURCES:
        # A few packages tell whether there is anybody to ask; a hundred take a minute.
        asked = audit(source, "-r", str(REQUIREMENTS), "--no-deps", "--disable-pip", patience=20)
        if known(asked) and (found := known(audit(source, "--local", patience=PATIENCE))):
            wrong = [(p["name"], p["version"], v) for p in found for v in p["vulns"]]
            for name, version, v in wrong:
                fixed = ", ".join(v["fix_versions"]) or "none yet"
                print(f"{name} {version}: {v['id']} (fixed in: {fixed})", file=sys.stderr)
            print(f"Audited {len(found)} packages: {len(wrong)} known vulnerabilities.")
            return 1 if wrong else 0
    print("Not audited: no source of advisories can be reached.")
    return 0


def audit(source: str, *words: str, patience: float) -> list[dict[str, Any]]:
    """What pip-audit knows of each package; nothing if it can't ask anybody."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run(
            [*command, "--vulnerability-service", source, *words], capture_output=True, text=True, timeout=patience
        )
        return list(json.loads(done.stdout)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []


def known(packages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that the source knows; the others were skipped."""
    return [package for package in packages if "vulns" in package]


if __name__ == "__main__":
    sys.exit(main())
