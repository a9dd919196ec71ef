"""systemd units for a store's processes, in systemd's own quoting (systemd.syntax(7))."""

import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nualley.app.locks import ROLES
from nualley.config import Configuration
from nualley.core import UsageError, escape_name

_UNIT = """\
[Unit]
Description=nualley {role} of {name}
Documentation=man:systemd.service(5)
After=network-online.target
Wants=network-online.target
# not before the drives are there, and never into the empty folder below a drive that is not
RequiresMountsFor={mounts}

[Service]
Type=exec
User={user}
ExecStart={command}
Restart=on-failure
RestartSec=2
# a wrong configuration or a port that is taken is not mended by starting again
RestartPreventExitStatus=2 3
TimeoutStopSec=30
KillSignal=SIGTERM
NoNewPrivileges=yes
PrivateTmp=no

[Install]
WantedBy=multi-user.target
"""

# what useradd(8) makes, and the accounts of a domain (user@example.org)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,255}")
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """What a unit starts.

    Parameters
    ----------
    role : str
        ``archive``, ``worker`` or ``web``.
    experiment : Path
        The experiment repository.
    mounts : sequence of Path
        Folders whose drives must be mounted before it starts.
    """

    role: str
    experiment: Path
    mounts: Sequence[Path]


def units(plans: Sequence[UnitPlan], *, name: str, user: str) -> Mapping[str, str]:
    """Return systemd units.

    Parameters
    ----------
    plans : sequence of UnitPlan
        One a process.
    name : str
        Name of the experiment, for people.
    user : str
        Account that runs them.

    Returns
    -------
    mapping of str to str
        File name -> text.

    Raises
    ------
    UsageError
        Where the account is root, or a name that no account has; where a path cannot be written in a unit.
    """
    _check_user(user)
    return {
        f"nualley-{plan.role}.service": _UNIT.format(
            role=plan.role,
            # no quoting here: a line break would begin another key, a backslash at the end would join the next line
            name=escape_name(name).replace("%", "%%"),
            user=user,
            command=_command([sys.executable, "-m", "nualley.cli", "up", plan.role, "--experiment", plan.experiment]),
            mounts=" ".join(_mount(path) for path in dict.fromkeys(plan.mounts)),
        )
        for plan in plans
    }


def quoted(word: str) -> str:
    r"""Return one word of a command line as systemd reads it.

    Parameters
    ----------
    word : str
        The word; bytes that are no UTF-8 stand in it as surrogate escapes.

    Returns
    -------
    str
        Plain, or in double quotes with C escapes; ``%`` is doubled. ``$`` is left to `_command`, because only arguments
        are searched for variables.

    Examples
    --------
    >>> print(quoted("/data/100 %"), quoted("/data/a"))
    "/data/100 %%" /data/a
    """
    if _PLAIN.fullmatch(word):
        return word
    return '"' + "".join(_escaped(character) for character in word) + '"'


_ESCAPES = {"\\": r"\\", '"': r"\"", "%": "%%", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors="surrogateescape"))


def _command(words: Sequence[str | Path]) -> str:
    program, *arguments = (str(word) for word in words)
    if "$" in program:
        raise UsageError(
            f"{program!r} cannot be started by systemd: it holds a $",
            where="ExecStart",
            do="install nualley in a folder without one",
        )
    return " ".join([quoted(program), *(quoted(word).replace("$", "$$") for word in arguments)])


def _mount(path: Path) -> str:
    """Return a path of RequiresMountsFor: quotes and backslashes as in a command, but no C escapes."""
    text = str(path)
    if _CONTROL.search(text) or not text.isprintable():
        raise UsageError(
            f"systemd cannot wait for the drive of {text!r}: it holds characters that cannot be printed",
            where="RequiresMountsFor",
            do="rename the folder, or write the units by hand",
        )
    return quoted(text)


def _check_user(user: str) -> None:
    if not _USER.fullmatch(user):
        raise UsageError(
            f"{user!r} is no name of an account: letters, digits and _ . @ - are, beginning with a letter or _",
            where="--user",
            do="name the account that owns the store: --user NAME",
        )
    if user == "root" or _user_id(user) == 0:
        raise UsageError(
            f"the units would run as {user}, who may do everything",
            where="--user",
            do="name an ordinary account: --user NAME",
        )


def _user_id(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:  # units may be written before the account is made, or for another machine
        return None


def unit_plans(configuration: Configuration) -> list[UnitPlan]:
    """Return what systemd is to start, a unit a role.

    Parameters
    ----------
    configuration : Configuration
        The experiment. Every role waits for the drives of repository and store; only the worker, which writes raw data,
        waits for all the others, so that one that is dead does not hold up the archive.
    """
    own = (configuration.directory, configuration.store)
    drives = tuple(drive.path for drive in configuration.storage.to_drives())
    return [
        UnitPlan(role=role, experiment=configuration.directory, mounts=(*own, *drives) if role == "worker" else own)
        for role in ROLES
    ]
