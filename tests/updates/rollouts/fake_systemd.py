"""A program that speaks systemctl's command line as far as Saga uses it, and keeps units as systemd does.

A unit is loaded when it is first needed and by ``daemon-reload``; a restart runs what is loaded, whatever the
file says by then. systemd does not run where the tests do.
"""

from __future__ import annotations

from pathlib import Path

PROGRAM = """#!/bin/sh
echo "$@" >> {state}/calls
state={state} units={units}
verb=$1
for unit; do :; done
load() {{ [ -f $state/loaded/$unit ] || cp $units/$unit $state/loaded/; }}
case $verb in
show)
    load
    cmp -s $units/$unit $state/loaded/$unit && echo NeedDaemonReload=no || echo NeedDaemonReload=yes
    [ -f $state/enabled/$unit ] && echo UnitFileState=enabled || echo UnitFileState=disabled;;
daemon-reload)
    for file in $units/*.service; do cp $file $state/loaded/; done;;
enable)
    load || exit 1
    : > $state/enabled/$unit;;
restart)
    load || exit 1
    folder=$(sed -n 's/^WorkingDirectory=//p' $state/loaded/$unit)
    file=$(sed -n 's/^EnvironmentFile=//p' $state/loaded/$unit)
    {{ sed -n 's/^ExecStart=//p' $state/loaded/$unit; cat $folder/VERSION; echo
       grep SAGA_VERSION= $file; }} > $state/.starting && mv $state/.starting $state/active/$unit;;
disable)
    rm -f $state/enabled/$unit $state/active/$unit;;
*)
    exit 1;;
esac
"""


def install(folder: Path, *, state: Path, units: Path) -> None:
    """Put the program into the folder; ``calls`` in the state has a line for each call."""
    for path in (folder, units, *(state / name for name in ("loaded", "enabled", "active"))):
        path.mkdir(parents=True, exist_ok=True)
    program = folder / "systemctl"
    program.write_text(PROGRAM.format(state=state, units=units))
    program.chmod(0o755)
