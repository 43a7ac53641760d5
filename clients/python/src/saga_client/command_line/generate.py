"""``saga generate``: write a small service that registers itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template

import click

from saga_client.command_line import structure
from saga_client.command_line.session import Session

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)

_PYTHON = '''\
"""$name: answers on http://127.0.0.1:$port, and is registered with Saga while it runs.

SAGA_URL and SAGA_TOKEN say which Saga, else the profile of `saga login`; PORT and PUBLIC_URL the address.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from saga_client import Saga

NAME = $quoted_name
VERSION = "0.1.0"
PORT = int(os.environ.get("PORT", "$port"))
URL = os.environ.get("PUBLIC_URL", f"http://127.0.0.1:{PORT}")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "healthy"})
        elif self.path == "/":
            self.answer(200, {"service": NAME, "version": VERSION})
        else:
            self.answer(404, {"error": "not found"})

    def answer(self, status: int, document: dict) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    # Registers, sends heartbeats, registers again when Saga has forgotten it, deregisters at the end.
    with Saga().registered(NAME, URL, version=VERSION, health_check_url=f"{URL}/health"):
        print(f"{NAME} {VERSION} answers on {URL}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    main()
'''

_NODE = """\
// $name: answers on http://127.0.0.1:$port, and is registered with Saga while it runs.
// It needs Node 18 or newer. SAGA_URL and SAGA_TOKEN say which Saga; PORT and PUBLIC_URL change the address.
import { createServer } from "node:http";

const name = $quoted_name;
const version = "0.1.0";
const port = Number(process.env.PORT ?? $port);
const url = process.env.PUBLIC_URL ?? `http://127.0.0.1:$${port}`;
const api = `$${process.env.SAGA_URL ?? "http://127.0.0.1:8030"}/api/v1`;
const ttl = 60;

const server = createServer((request, response) => {
  const documents = { "/health": { status: "healthy" }, "/": { service: name, version } };
  const found = documents[request.url];
  response.writeHead(found ? 200 : 404, { "Content-Type": "application/json" });
  response.end(JSON.stringify(found ?? { error: "not found" }));
});

// Returns the status, or 0 where there is no answer: the service goes on while Saga is away.
async function call(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (process.env.SAGA_TOKEN) headers.Authorization = `Bearer $${process.env.SAGA_TOKEN}`;
  try {
    const options = { method, headers, body: body && JSON.stringify(body) };
    const answer = await fetch(api + path, { ...options, signal: AbortSignal.timeout(5000) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}

const own = `/services/$${encodeURIComponent(name)}`;
const instance = new URL(url).host;
const register = () =>
  call("POST", "/services/register", {
    service_name: name,
    service_url: url,
    instance_id: instance,
    version,
    ttl,
    health_check_url: `$${url}/health`,
  });

const isTaken = async () => [200, 201].includes(await register());
let isRegistered = false;
async function heartbeat() {
  const status = isRegistered ? await call("POST", `$${own}/heartbeat`, { instance_id: instance }) : 404;
  if (status === 400 || status === 404) isRegistered = await isTaken(); // new, or forgotten
}

async function leave() {
  clearInterval(timer);
  await call("DELETE", `$${own}?instance_id=$${encodeURIComponent(instance)}`);
  process.exit(0);
}

const timer = setInterval(heartbeat, (ttl * 1000) / 3);
process.on("SIGTERM", leave);
process.on("SIGINT", leave);
server.listen(port, "127.0.0.1", async () => {
  await heartbeat();
  console.log(`$${name} $${version} answers on $${url}`);
});
"""

_README = """\
# $name

Start it, and see that Saga finds it:

```
$start
saga services get $name
```
"""

_FILES = {
    "python": {
        "service.py": _PYTHON,
        "requirements.txt": "saga-client\n",
        "README.md": _README,
    },
    "node": {"service.mjs": _NODE, "README.md": _README},
}
_STARTS = {
    "python": "pip install -r requirements.txt\npython service.py &",
    "node": "node service.mjs &",
}


@click.group(cls=structure.Group)
def generate() -> None:
    """Write a small service that registers itself."""


@generate.command()
@click.argument("name")
@click.option("--language", type=click.Choice(sorted(_FILES)), default="python", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Where it answers.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to [default: ./NAME]."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def service(
    session: Session, name: str, language: str, port: int, folder: Path | None, force: bool
) -> None:
    """Write a service that answers over HTTP, registers itself, and stays alive by heartbeats."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            "A name has 1-128 of A-Z a-z 0-9 . _ -, and begins with a letter or digit.",
            param_hint="NAME",
        )
    folder = folder or Path(name)
    values = {
        "name": name,
        "quoted_name": json.dumps(name),
        "port": str(port),
        "start": _STARTS[language],
    }
    files = {folder / file: text for file, text in _FILES[language].items()}
    known = [str(file) for file in files if file.exists()]
    if known and not force:
        raise click.UsageError(f"{', '.join(known)} exists; --force replaces it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as exc:
        raise click.ClickException(f"{folder} cannot be written: {exc.strerror}.") from exc
    session.say(f"{folder} is written. Start it: cd {folder}; {_STARTS[language].splitlines()[-1]}")
