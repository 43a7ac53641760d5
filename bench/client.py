"""What the client costs: the start of ``saga --help``, a lookup that is cached, and the wheel.

    python -m bench.client

The start is that of the built wheel in an environment that has only the wheel and its dependencies, beside
that environment's bare interpreter, in turns; medians and slowest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "clients" / "python"
DEPENDENCIES = ("click*", "urllib3*", "yaml", "_yaml", "[Pp]y[Yy][Aa][Mm][Ll]*")
LOOKUP = "import saga_client, sys; saga = saga_client.Saga(sys.argv[1], token='x'); saga.discover('shop')"
INSTANCE: dict[str, Any] = {
    "health": "passing",
    "registered_at": "2026-01-01T00:00:00+00:00",
    "last_heartbeat": "2026-01-01T00:00:00+00:00",
    "zone": "a",
    "version": "1.4.0",
    "capabilities": [],
    "metadata": {},
    "ttl": 60,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=41)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saga-wheel-") as folder:
        wheel = _wheel(Path(folder))
        print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB")
        _starts(_installed(wheel, Path(folder) / "environment"), options.number)
    _lookups()


def _installed(wheel: Path, folder: Path) -> Path:
    """Return the commands of an environment with the wheel; dependencies are links into this one."""
    venv.create(folder, symlinks=True)
    commands = folder / "bin"
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    pip = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "install"]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for pattern in DEPENDENCIES:
        for found in Path(sysconfig.get_path("purelib")).glob(pattern):
            (packages / found.name).symlink_to(found)
    return commands


def _starts(commands: Path, number: int) -> None:
    each = {
        "bare interpreter": [str(commands / "python"), "-c", "pass"],
        "saga --help": [str(commands / "saga"), "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in each}
    for turn in range(number + 1):
        for name, command in each.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
            if turn:  # the first one compiles
                seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        print(f"{name}: {statistics.median(taken) * 1e3:.0f} ms, slowest {max(taken) * 1e3:.0f} ms")
    more = [statistics.median(taken) for taken in seconds.values()]
    print(f"saga --help beside a bare interpreter: {(more[1] - more[0]) * 1e3:.0f} ms more")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(CLIENT / "src")}


class Answers(BaseHTTPRequestHandler):
    """Twenty instances of every service, and no events."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "/events" in self.path:
            if "wait" in self.path:
                time.sleep(5)
            document: dict[str, Any] = {"events": [], "cursor": "1-1"}
        else:
            document = {
                "instances": [
                    {
                        **INSTANCE,
                        "instance_id": str(at),
                        "service_url": f"http://h{at}",
                        "weight": 1 + at % 3,
                    }
                    for at in range(20)
                ]
            }
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def _lookups() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = f"""import timeit
{LOOKUP}
for call in ("saga.discover('shop')", "saga.discover('shop', version='>=1.4,<2', zone='a')"):
    taken = min(timeit.repeat(call, globals=globals(), number=200_000, repeat=5)) / 200_000
    print(f"{{call}}: {{taken * 1e6:.2f}} µs")
"""
    address = f"http://127.0.0.1:{server.server_port}"
    subprocess.run([sys.executable, "-c", program, address], env=_environment(), check=True)
    server.shutdown()


def _wheel(folder: Path) -> Path:
    options = ("--quiet", "--no-deps", "--wheel-dir", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(CLIENT)], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    main()
