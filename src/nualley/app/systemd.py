"""systemd units for a store's processes."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from nualley.core import UsageError

_UNIT = """\
[Unit]
Description=nualley {role} of {name}
Documentation=man:systemd.service(5)
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
User={user}
ExecStart={command}
Restart=on-failure
RestartSec=2
# a wrong configuration is not mended by starting again
RestartPreventExitStatus=2 3
TimeoutStopSec=30
KillSignal=SIGTERM
NoNewPrivileges=yes
PrivateTmp=no

[Install]
WantedBy=multi-user.target
"""


def units(*, experiment: Path, name: str, user: str, roles: tuple[str, ...]) -> Mapping[str, str]:
    """Return systemd units, one a role.

    Parameters
    ----------
    experiment : Path
        The experiment repository.
    name : str
        Name of the experiment, for people.
    user : str
        Account that runs them.
    roles : tuple of str
        Processes, such as ``("archive", "worker", "web")``.

    Returns
    -------
    mapping of str to str
        File name -> text.

    Raises
    ------
    UsageError
        Where the account is root: the product needs no such rights.
    """
    if user == "root":
        raise UsageError("the units would run as root", do="name an ordinary account: --user NAME")
    found = {}
    for role in roles:
        words = [sys.executable, "-m", "nualley.cli", "up", role, "--experiment", str(experiment)]
        # systemd expands % and $ in command lines
        command = shlex.join(words).replace("%", "%%").replace("$", "$$")
        found[f"nualley-{role}.service"] = _UNIT.format(
            role=role, name=name.replace("%", "%%"), user=user, command=command
        )
    return found
