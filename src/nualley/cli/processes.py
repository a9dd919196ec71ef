"""``nualley up`` and ``nualley service``: the product's processes."""

import asyncio
import getpass
import os
import pwd
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from nualley.app.locks import hold_role
from nualley.app.site import Site, open_site
from nualley.app.systemd import unit_plans, units
from nualley.cli.options import Output, Place
from nualley.cli.output import print_json, print_note
from nualley.core import ExitCode, NualleyError, UsageError, end_with_parent, reason

Role = Literal["archive", "worker", "web"]


def _run_web(site: Site) -> ExitCode:
    from nualley.app.stopping import run_until_stopped

    with hold_role(site.configuration.store, "web", site.clock) as held:

        async def work(stop: asyncio.Event) -> None:
            from nualley.web import serve_until  # FastAPI is heavy

            await serve_until(site, stop, on_ready=held.note_address)

        return run_until_stopped(work)


def up(role: Role | None = None, /, *, place: Place = Place()) -> ExitCode:
    """Run the product until Ctrl-C or SIGTERM: archive, worker and web, each started again when it fails.

    A process that cannot run as it is configured is given up with a word, and the others go on. A second Ctrl-C hastens
    the stop, a third ends it.

    Example: nualley up

    Parameters
    ----------
    role : str
        Run only this process, unsupervised.
    """
    # what a process is made of is heavy, and `service` needs none of it
    from nualley.app.logs import configure_logs
    from nualley.app.roles import run_all, run_archive, run_worker

    run_by_role: Mapping[str, Callable[[Site], ExitCode]]
    run_by_role = {"archive": run_archive, "worker": run_worker, "web": _run_web}
    end_with_parent(signal.SIGTERM, os.environ)
    configure_logs(role or "up")
    site = open_site(place.experiment)
    return run_by_role[role](site) if role else run_all(site)


def service(
    *,
    directory: Path | None = None,
    user: str | None = None,
    output: Output = Output(),
) -> None:
    """Write systemd units for archive, worker and web.

    Example: nualley service --user coherent --directory /etc/systemd/system

    Parameters
    ----------
    directory : Path
        Where the units are written; without it they are printed.
    user : str
        Account that runs them; by default who asks.
    """
    configuration = open_site(output.experiment).configuration
    texts = units(unit_plans(configuration), name=configuration.experiment.name, user=user or getpass.getuser())
    if output.is_json:
        print_json(texts)
    if directory is None:
        if not output.is_json:
            print("\n".join(f"# {name}\n{text}" for name, text in texts.items()))
        return
    if not directory.is_dir():
        raise UsageError(f"{directory} is no folder", where="--directory", do="make it first, or name another")
    try:
        for name, text in texts.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise NualleyError(
            f"the units cannot be written: {reason(error)}", where=str(directory), do="sudo, or another --directory"
        ) from error
    if user and not _has_account(user):
        print_note(f"this machine has no account {user!r}: make it before the units start")
    print_note(f"next: systemctl daemon-reload && systemctl enable --now {' '.join(texts)}")


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
