"""Audit the code with bandit and the locked dependencies with pip-audit, and list them in an SBOM.

``make audit`` runs it in an environment of its own. The exit status is 1 where one of the two finds a fault.
Without a reachable advisory source the dependencies are not audited, and a line says so.
With the argument ``sbom`` it writes the SBOM alone, for ``make dist``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = ("saga_project", "registry", "updates", "webhooks")
LOCK = "requirements.lock"
#: ruff reports these as S104, S308 and S608; each place in the code says why it is safe.
REVIEWED = "B104,B308,B608"
#: What pip-audit says when it cannot reach the advisories.
UNREACHABLE = (
    "ConnectionError",
    "Max retries",
    "timed out",
    "ProxyError",
    "connection error",
    "Failed to resolve",
)


def main() -> None:
    write_sbom()
    if sys.argv[1:] == ["sbom"]:
        return
    has_findings = [audit_code(), audit_dependencies()]
    sys.exit(1 if any(has_findings) else 0)


def write_sbom() -> None:
    """Write the locked dependencies as CycloneDX to dist/."""
    target = ROOT / "dist" / "saga-sbom.cdx.json"
    target.parent.mkdir(exist_ok=True)
    options = ["--output-reproducible", "--output-format", "JSON", "--output-file", str(target)]
    run(
        "cyclonedx_py", "requirements", "--pyproject", "pyproject.toml", *options, LOCK
    ).check_returncode()
    count = len(json.loads(target.read_text(encoding="utf-8"))["components"])
    print(f"SBOM: {target.relative_to(ROOT)} lists {count} components.")


def audit_code() -> bool:
    """Run bandit; return whether it found something of medium severity or more."""
    done = run(
        "bandit", "--quiet", "--recursive", "--severity-level=medium", f"--skip={REVIEWED}", *CODE
    )
    print(
        "bandit: see above."
        if done.returncode
        else "bandit: no finding of medium severity or more."
    )
    return done.returncode != 0


def audit_dependencies() -> bool:
    """Run pip-audit on the lock; return whether a locked version has a known vulnerability."""
    options = [
        "--require-hashes",
        "--disable-pip",
        "--vulnerability-service",
        "osv",
        "--progress-spinner",
        "off",
    ]
    done = run("pip_audit", *options, "--requirement", LOCK, capture=True)
    errors = done.stderr.decode(errors="replace")
    if done.returncode and any(sign in errors for sign in UNREACHABLE):
        print(
            "pip-audit: skipped, because no advisory source can be reached:",
            errors.splitlines()[-1],
        )
        return False
    print(done.stdout.decode(errors="replace"), errors, sep="", end="")
    return done.returncode != 0


def run(module: str, *options: str, capture: bool = False) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", module, *options], cwd=ROOT, check=False, capture_output=capture
    )


if __name__ == "__main__":
    main()
