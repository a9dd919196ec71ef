"""The picture of the beam that the detectors got."""

from pathlib import Path

from nualley.app.site import Site
from nualley.core import NualleyError, UsageError
from nualley.exposure import CumulativeBeam
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
        Where the ending is no kind of picture.
    NualleyError
        Where the picture cannot be written.
    """
    curves = site.exposures().cumulative(detector, start_ns=start_ns, stop_ns=stop_ns)
    name = site.configuration.experiment.name
    try:
        draw(curves, out, title=f"Beam delivered to {name} detectors")
    except ValueError as error:
        if isinstance(error, NualleyError):
            raise
        raise UsageError(
            f"{out.suffix!r} is not a kind of picture", where="--out", do="use .svg, .png or .pdf"
        ) from error
    except OSError as error:
        raise NualleyError(
            f"the picture cannot be written: {error.strerror}", where=str(out), do="name another file with --out"
        ) from error
    return curves
