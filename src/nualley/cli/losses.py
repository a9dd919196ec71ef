"""What the archive has lost, said beside an answer that was given without it."""

from nualley.app.site import Site
from nualley.cli.output import print_note, shown_time
from nualley.core import ExitCode


def told_losses(site: Site) -> ExitCode:
    """Say on stderr what an answer from the archive had to leave out, and return the exit code that says so too.

    Parameters
    ----------
    site : Site
        Whose archive was read.

    Returns
    -------
    ExitCode
        ``NOT_INTACT`` where commits of the log are lost that the archive has not taken into its index yet. From then on
        they are gap rows as any other, and the ledger tells of them. The same where a sealed file is damaged.
    """
    losses = site.new_losses()
    for loss in losses:
        print_note(
            f"commits of the archive's log are lost ({loss.n_commits}), between {shown_time(loss.start_ns)} and "
            f"{shown_time(loss.stop_ns)} (UTC): what they held is unknown here"
        )
    if losses:
        print_note("  do:    look at the store's drive (nualley doctor); nualley up archive keeps what is left")
    damages = site.damages()
    for damage in damages:
        print_note(f"a file of the archive is damaged, and left out here: {damage}")
    if damages:
        print_note("  do:    put a backup of it back (nualley archive verify lists all and their sha256)")
    for damage in site.row_damages():
        # the answer is right all the same: it took longer
        print_note(f"rows of the beam are damaged, and samples were read instead: {damage}")
        print_note("  do:    nualley beam rows makes them anew")
    return ExitCode.NOT_INTACT if losses or damages else ExitCode.DONE
