"""The picture of the beam that the detectors got."""

from pathlib import Path

from nualley.app.site import Site
from nualley.core import NualleyError, UsageError, escape_name, reason
from nualley.exposure import CumulativeBeam
from nualley.exposure.adapters.figure import SUFFIXES
from nualley.exposure.adapters.figure import draw_cumulative as draw


def draw_cumulative(
    site: Site,
    out: Path,
    *,
    detector: str | None = None,
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> list[CumulativeBeam]:
    """Draw the beam delivered to the detectors against time.

    Parameters
    ----------
    site : Site
        The experiment.
    out : Path
        The picture; its ending says which kind.
    detector : str, optional
        Only this one.
    start_ns, stop_ns : int, optional
        Only runs that overlap this stretch [ns since 1970 UTC].

    Returns
    -------
    list of CumulativeBeam
        What was drawn.

    Raises
    ------
    UsageError
        Where it cannot become a picture: its ending, its folder, or it is a folder itself.
    NualleyError
        Where the picture cannot be written.
    """
    check_picture(out)
    curves = site.exposures().cumulative(detector, start_ns=start_ns, stop_ns=stop_ns)
    name = site.configuration.experiment.name
    try:
        draw(curves, out, title=f"{name}: beam delivered to the detectors")
    except OSError as error:
        raise NualleyError(
            f"the picture cannot be written: {reason(error)}", where=str(out), do="name another file with --out"
        ) from error
    return curves


def is_picture(out: Path) -> bool:
    """Say whether a name ends as that of a picture."""
    return out.suffix.lower() in SUFFIXES


def check_picture(out: Path) -> None:
    """Refuse what cannot become a picture.

    Raises
    ------
    UsageError
        Where its ending is none of a picture, its folder is not there, or it is a folder itself.
    """
    if out.is_dir():
        what = f"{escape_name(str(out))} is a directory, expected the name of a picture"
    elif not is_picture(out):
        what = f"{escape_name(str(out))} does not end like a picture, expected {', '.join(SUFFIXES)}"
    elif not out.parent.is_dir():
        what = f"there is no directory {escape_name(str(out.parent))} for the picture"
    else:
        return
    raise UsageError(what, where="--out", do="name a picture in a directory that is there, such as beam.svg")
