"""A program that speaks docker's command line as far as Saga uses it, and keeps its containers in a file.

The words and documents are those of docker 27 and podman 5; neither runs where the tests do.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

PROGRAM = r"""#!{python} -ISE
import json, os, sys

STATE = {state!r}
REFUSAL = STATE + ".refuses-a-start"
LOG = {log!r}


def load():
    return json.load(open(STATE)) if os.path.exists(STATE) else {{}}


def save(state):
    json.dump(state, open(STATE, "w"))


def fail(text):
    print("Error response from daemon: " + text, file=sys.stderr)
    sys.exit(1)


def run(words, state):
    container = {{"labels": {{}}, "env": {{}}, "publish": [], "volume": [], "running": True}}
    while words and words[0].startswith("--"):
        flag = words.pop(0)[2:]
        if flag == "detach":
            continue
        value = words.pop(0)
        if flag == "label":
            name, _, text = value.partition("=")
            container["labels"][name] = text
        elif flag == "env":
            container["env"][value] = os.environ[value]
        elif flag in ("publish", "volume"):
            container[flag].append(value)
        else:
            container[flag] = value
    container["image"], container["command"] = words[0], words[1:]
    if container["name"] in state:
        fail("Conflict. The container name is already in use")
    taken = [port for other in state.values() if other["running"] for port in other["publish"]]
    if set(taken) & set(container["publish"]):
        fail("port is already allocated")
    container["running"] = "broken" not in container["image"]
    state[container["name"]] = container


def main(words):
    state = load()
    open(LOG, "a").write(json.dumps(words) + "\n")
    verb = words.pop(0)
    if verb == "login":
        logins = os.path.join(os.environ["DOCKER_CONFIG"], "logins")
        open(logins, "w").write(words[-1] + " " + words[1] + " " + sys.stdin.read())
    elif verb == "pull":
        if "missing" in words[0]:
            fail("manifest unknown")
        logins = os.path.join(os.environ.get("DOCKER_CONFIG", "/nowhere"), "logins")
        if "private" in words[0]:
            if not os.path.exists(logins) or open(logins).read() != "registry.example ci pa55":
                fail("pull access denied: unauthorized")
    elif verb == "run":
        run(words, state)
    elif verb == "ps":
        wanted = words[words.index("--filter") + 1].removeprefix("name=^").removesuffix("$")
        print("\n".join(name for name in state if name == wanted))
    elif verb == "container":
        one = state.get(words[1]) or fail("No such container")
        print(json.dumps([{{"Config": {{"Labels": one["labels"]}}, "State": {{"Running": one["running"]}}}}]))
    elif verb == "rename":
        state[words[1]] = state.pop(words[0])
    elif verb == "start" and os.path.exists(REFUSAL):
        os.remove(REFUSAL)
        fail("cannot start a container")
    elif verb in ("stop", "start"):
        state[words[0]]["running"] = verb == "start"
    elif verb == "rm":
        del state[words[-1]]
    elif verb == "logs":
        print("it said this")
    else:
        fail("unknown verb " + verb)
    save(state)


main(sys.argv[1:])
"""


def install(folder: Path, *, name: str = "docker") -> tuple[Path, Path]:
    """Put the program into the folder; return the file of its containers, and that of its calls."""
    folder.mkdir(parents=True, exist_ok=True)
    state, log = folder / "state.json", folder / "calls.log"
    program = folder / name
    program.write_text(PROGRAM.format(python=sys.executable, state=str(state), log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return state, log
