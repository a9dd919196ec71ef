"""``nualley up`` and ``nualley service``: the product's processes."""

import getpass
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from nualley.app.logs import configure_logs
from nualley.app.roles import ROLES, run_all, run_archive, run_worker
from nualley.app.site import Site, open_site
from nualley.app.supervisor import end_with_supervisor
from nualley.app.systemd import units
from nualley.cli.options import Output, Place
from nualley.cli.output import print_json, print_note
from nualley.core import ExitCode, NualleyError

Role = Literal["archive", "worker", "web"]


def _run_web(site: Site) -> ExitCode:
    from nualley.app.locks import hold_role
    from nualley.web import serve  # FastAPI is heavy

    with hold_role(site.configuration.store, "web", site.clock):
        serve(site)
    return ExitCode.DONE


_RUNNERS: Mapping[str, Callable[[Site], ExitCode]] = {"archive": run_archive, "worker": run_worker, "web": _run_web}


def up(role: Role | None = None, /, *, place: Place = Place()) -> ExitCode:
    """Run the product until Ctrl-C or SIGTERM: archive, worker and web, each started again when it fails.

    Example: nualley up

    Parameters
    ----------
    role : str
        Run only this process, unsupervised.
    """
    end_with_supervisor(os.environ)
    configure_logs(role or "up")
    site = open_site(place.experiment)
    return _RUNNERS[role](site) if role else run_all(site)


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
    site = open_site(output.experiment)
    configuration = site.configuration
    texts = units(
        experiment=configuration.directory,
        name=configuration.experiment.name,
        user=user or getpass.getuser(),
        roles=ROLES,
    )
    if output.is_json:
        print_json(texts)
    if directory is None:
        if not output.is_json:
            print("\n".join(f"# {name}\n{text}" for name, text in texts.items()))
        return
    try:
        for name, text in texts.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise NualleyError(
            f"the units cannot be written: {error.strerror}", where=str(directory), do="sudo, or another --directory"
        ) from error
    print_note(f"next: systemctl daemon-reload && systemctl enable --now {' '.join(texts)}")
