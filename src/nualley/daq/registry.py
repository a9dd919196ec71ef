"""The formats that are installed: ours and those of plug-ins, found through one entry-point group."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from nualley.core import nearest
from nualley.daq.errors import PluginError, UnknownFormatError
from nualley.daq.format import Format

GROUP = "nualley.readers"


class Formats:
    """Formats by name, each imported when it is first wanted.

    Parameters
    ----------
    points : iterable of EntryPoint
        Entry points of the group ``nualley.readers``; the name is the format's name.

    Notes
    -----
    A plug-in that fails is kept in `failures` and leaves the others usable.
    """

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self._points: dict[str, EntryPoint] = {}
        self._loaded: dict[str, Format] = {}
        self._failures: dict[str, PluginError] = {}
        for point in points:
            taken = self._points.setdefault(point.name, point)
            if taken.value != point.value:
                self._fail(f"{point.name} ({point.value})", f"its name {point.name!r} is taken by {taken.value}", point)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all formats, loaded or not."""
        return tuple(sorted(self._points))

    @property
    def failures(self) -> tuple[PluginError, ...]:
        """What failed so far; complete after `load_all`."""
        return tuple(self._failures.values())

    def load(self, name: str) -> Format:
        """Return a format.

        Parameters
        ----------
        name : str
            Such as ``wavedump``.

        Returns
        -------
        Format
            Ready to probe and open.

        Raises
        ------
        UnknownFormatError
            Where no reader has this name.
        PluginError
            Where the plug-in that has it cannot be used.
        """
        if name not in self._points:
            near = nearest(name, self.names)
            hint = f"did you mean {near!r}? " if near else ""
            raise UnknownFormatError(
                f"no reader for the raw format {name!r}",
                where="daq.format",
                do=f"{hint}formats installed: {', '.join(self.names) or 'none'}",
            )
        if name not in self._loaded:
            self._loaded[name] = self._import(self._points[name])
        return self._loaded[name]

    def load_all(self) -> dict[str, Format]:
        """Return every format that can be used; what cannot is in `failures`."""
        for name in self.names:
            try:
                self.load(name)
            except PluginError as failure:
                self._failures[name] = failure
        return dict(self._loaded)

    def probe(self, path: Path, head: bytes) -> dict[str, float]:
        """Return how surely a file is of each format.

        Parameters
        ----------
        path : Path
            The file.
        head : bytes
            Its first bytes.

        Returns
        -------
        dict of str to float
            Score by name, 0 to 1; a plug-in whose probe raises scores 0 and is in `failures`.
        """
        scores = {}
        for name, format_ in self.load_all().items():
            try:
                scores[name] = float(format_.probe(path, head))
            except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it must not hide the others
                scores[name] = 0.0
                self._fail(name, f"its probe raised {type(error).__name__}: {error}", self._points[name])
        return scores

    def _import(self, point: EntryPoint) -> Format:
        try:
            found = point.load()
            format_ = found() if isinstance(found, type) else found
        except Exception as error:
            raise _failure(point.name, f"{type(error).__name__}: {error}", point) from error
        if not isinstance(format_, Format):
            raise _failure(point.name, f"{type(format_).__name__} has no probe and open, which a format has", point)
        return format_

    def _fail(self, name: str, why: str, point: EntryPoint) -> None:
        self._failures[name] = _failure(name, why, point)


def _failure(name: str, why: str, point: EntryPoint) -> PluginError:
    package = f"package {point.dist.name} {point.dist.version}" if point.dist else "no package"
    return PluginError(
        f"reader plug-in {name!r} cannot be used: {why}",
        where=f"entry point {point.name} = {point.value} ({package})",
        do="repair or uninstall the package that brings it; other formats work on",
    )


@cache
def installed_formats() -> Formats:
    """Return the formats of this installation, the same object every time."""
    return Formats(entry_points(group=GROUP))
