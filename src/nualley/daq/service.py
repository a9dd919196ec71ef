"""Opening raw files of any format and saying what they hold."""

from pathlib import Path

from nualley.daq.models import Defect, DefectKind, FileSummary
from nualley.daq.ports import Reader
from nualley.daq.raw_file import RawFile
from nualley.daq.registry import Formats, installed_formats
from nualley.daq.settings import DaqSettings
from nualley.daq.unknown import UnknownReader

_HEAD_B = 1 << 16
_SUMMARY_B = 1 << 24


def format_names() -> tuple[str, ...]:
    """Return the names of all installed formats, without importing any."""
    return installed_formats().names


def probe(path: Path, formats: Formats | None = None) -> dict[str, float]:
    """Say how surely a file is of each format, by its content.

    Parameters
    ----------
    path : Path
        The file.
    formats : Formats, optional
        Instead of those installed.

    Returns
    -------
    dict of str to float
        Score by format, 0 (certainly not) to 1 (certainly).

    Raises
    ------
    UnreadableFileError
        Where the operating system refuses to read it.
    """
    return (formats or installed_formats()).probe(path, _read_head(path))


def open_raw(
    path: Path,
    daq_format: str | None = None,
    settings: DaqSettings | None = None,
    *,
    is_growing: bool = False,
    formats: Formats | None = None,
) -> Reader:
    """Open a raw file.

    Parameters
    ----------
    path : Path
        The file.
    daq_format : str or None
        Name of its format, as in the detector's ``[daq]`` table; None: the format whose probe is surest.
    settings : DaqSettings, optional
        What the detector's description says where the file does not.
    is_growing : bool
        Whether the DAQ still writes: an incomplete last event is then no defect.
    formats : Formats, optional
        Instead of those installed.

    Returns
    -------
    Reader
        Empty files and files of no known format too: they have no events and one defect.

    Raises
    ------
    UnreadableFileError
        Where the operating system refuses to read it.
    UnknownFormatError, PluginError
        Where ``daq_format`` names no usable reader.
    MissingSettingError
        Where the format needs a value that the settings lack.
    """
    known = formats or installed_formats()
    head = _read_head(path)
    if daq_format is None:
        if not head:
            return UnknownReader(path, (Defect(DefectKind.EMPTY, 0, "0 B, expected at least one event"),))
        daq_format = _surest(path, head, known)
    if daq_format is None:
        return UnknownReader(path, (_unknown(head, known),))
    return known.load(daq_format).open(path, settings or DaqSettings(), is_growing=is_growing)


def summarise(reader: Reader, max_bytes: int = _SUMMARY_B) -> FileSummary:
    """Read a file once, every header of it, and say what it holds.

    Parameters
    ----------
    reader : Reader
        The file.
    max_bytes : int
        Memory to use for a piece of it [B].

    Returns
    -------
    FileSummary
        Counts, channels, defects.

    Raises
    ------
    UnreadableFileError
        Where the operating system refuses to read it.
    """
    n_events = 0
    channels: set[int] = set()
    lengths: set[int] = set()
    for chunk in reader.iter_chunks(max_bytes, samples=False):
        # an event is never split over two chunks, so that distinct indices may be added up
        n_events += len(chunk.hits["event"].unique())
        channels.update(chunk.hits["channel"].drop_null().unique().to_pylist())
        if len(lengths) < 2:
            lengths.update(chunk.hits["n_samples"].unique().to_pylist())
    if not n_events:
        channels.update(reader.channels)
    return FileSummary(
        format=reader.format,
        n_events=n_events,
        channels=tuple(sorted(channels)),
        record_length=lengths.pop() if len(lengths) == 1 else None,
        defects=reader.defects,
        settings=reader.settings,
    )


def _surest(path: Path, head: bytes, formats: Formats) -> str | None:
    scores = formats.probe(path, head)
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] > 0 else None


def _unknown(head: bytes, formats: Formats) -> Defect:
    detail = f"begins with {head[:16].hex(' ')}, expected one of {', '.join(formats.names) or 'no format at all'}"
    if formats.failures:
        detail += "; not asked: " + "; ".join(failure.what for failure in formats.failures)
    return Defect(DefectKind.UNKNOWN_FORMAT, 0, detail)


def _read_head(path: Path) -> bytes:
    with RawFile(path) as file:
        return file.read(0, _HEAD_B)
