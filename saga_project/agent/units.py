"""The systemd unit of an agent: it may write where ``agent.toml`` allows releases to be installed."""

from __future__ import annotations

import sys
from pathlib import Path

from saga_project.agent.configuration import DEFAULT_FOLDER, Allowed

NAME = "saga-agent.service"
#: The agent ends with it once its token has ended; starting it again would change nothing.
TOKEN_ENDED = 77
UNITS_FOLDER = "/etc/systemd/system"
_UNIT = """\
[Unit]
Description=Saga agent: installs on this host what Saga orders
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={python} -m saga_project.agent run --folder {folder}
WorkingDirectory={root}
{account}Restart=always
RestartSec=2
RestartPreventExitStatus={token_ended}
KillMode=process
TimeoutStopSec=20
UMask=0027
PrivateTmp=yes
{hardening}
[Install]
WantedBy=multi-user.target
"""
#: As the units in deploy/systemd have it.
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
#: A container engine makes namespaces, devices and networks, as a child of the agent.
_FOR_CONTAINERS = "ProtectKernelTunables=yes\n"


def write(to: Path, *, account: str | None, folder: Path, allowed: Allowed) -> Path:
    """Write the unit for this environment's Python; raises OSError."""
    folder = folder.absolute()
    text = _UNIT.format(
        python=_word(sys.executable),
        folder=_word(folder),
        root=_escaped(Path(__file__).resolve().parents[2]),
        account=f"User={account}\n" if account else "",
        token_ended=TOKEN_ENDED,
        hardening=_hardening(account, folder, allowed),
    )
    file = to / NAME
    file.write_text(text)
    return file


def _hardening(account: str | None, folder: Path, allowed: Allowed) -> str:
    if "container" in allowed.installers:
        return _FOR_CONTAINERS
    lines = ["CapabilityBoundingSet="] if account else []
    if folder == DEFAULT_FOLDER:
        # Made, and given to the account, where the host joined as root.
        lines += [f"StateDirectory={folder.name}", "StateDirectoryMode=0700"]
    writable = [str(folder), *allowed.install_roots]
    if "systemd" in allowed.installers:
        writable.append(UNITS_FOLDER)
    lines += [f"ReadWritePaths={_word(f'-{path}')}" for path in writable]
    return _HARDENING + "\n".join(lines) + "\n"


def _escaped(path: object) -> str:
    """Return a path without specifiers."""
    return str(path).replace("%", "%%")


def _word(path: object) -> str:
    """Return a path as one word."""
    text = _escaped(path)
    return f'"{text}"' if " " in text else text
