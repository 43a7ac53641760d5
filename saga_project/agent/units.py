"""The systemd unit of an agent."""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "saga-agent.service"
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
KillMode=process
TimeoutStopSec=20
UMask=0027
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes

[Install]
WantedBy=multi-user.target
"""


def write(to: Path, *, account: str | None, folder: Path) -> Path:
    """Write the unit for this environment's Python; raises OSError."""
    text = _UNIT.format(
        python=sys.executable,
        folder=folder.absolute(),
        root=Path(__file__).resolve().parents[2],
        account=f"User={account}\n" if account else "",
    )
    file = to / NAME
    file.write_text(text)
    return file
