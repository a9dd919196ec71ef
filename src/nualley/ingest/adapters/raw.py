"""Raw files through the readers of `daq`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nualley.core import Digests, NualleyError, digest_file, escape_name, reason
from nualley.daq import DaqSettings, FileSummary, Formats, installed_formats, open_raw, probe, summarise
from nualley.ingest.errors import ReaderFailed
from nualley.storage import SourceUnreadable, SourceVanished


@dataclass(frozen=True, slots=True)
class DetectorFormat:
    """What a detector's description says of its raw files.

    Parameters
    ----------
    format : str or None
        Name of the format; None: the content decides.
    settings : DaqSettings
        What the files do not say themselves.
    """

    format: str | None = None
    settings: DaqSettings = field(default_factory=DaqSettings)


class DaqRawFiles:
    """`ingest.ports.RawFiles` by the readers that are installed.

    Parameters
    ----------
    format_by_detector : mapping of str to DetectorFormat
        What the descriptions say; of a detector that is not in it, the content decides.
    formats : Formats, optional
        Instead of those installed.
    """

    def __init__(self, format_by_detector: Mapping[str, DetectorFormat], formats: Formats | None = None) -> None:
        self._format_by_detector = format_by_detector
        self._formats = formats or installed_formats()

    def summarise(self, path: Path, detector: str) -> FileSummary:
        """Read a file once through the reader of its format.

        Parameters
        ----------
        path : Path
            The file.
        detector : str
            Whose it is.

        Returns
        -------
        FileSummary
            By the declared format where the content fits it or fits nothing else; by the one that it fits where that
            is another; format ``unknown`` where it fits nothing and the declared reader finds no event either.

        Raises
        ------
        UnreadableFileError, FileShrankError, MissingSettingError, UnknownFormatError, PluginError
            As `daq.open_raw`.
        ReaderFailed
            Where a reader raises what it must not.
        """
        declared = self._format_by_detector.get(detector, DetectorFormat())
        try:
            return self._summarise(path, declared)
        except NualleyError:
            raise
        except Exception as error:  # readers may be plug-ins, which may raise anything
            shown = escape_name(os.fspath(path))
            raise ReaderFailed(
                f"the reader of {declared.format or 'its format'} broke on {shown}: {type(error).__name__}: {error}",
                where=shown,
                do="tell its author; the file stays where it is and is tried again",
            ) from error

    def _summarise(self, path: Path, declared: DetectorFormat) -> FileSummary:
        scores = probe(path, self._formats)
        surest = max(scores, key=lambda name: scores[name], default=None)
        if declared.format is None:
            return self._read(path, None, declared.settings)
        if scores.get(declared.format, 0.0) > 0:
            return self._read(path, declared.format, declared.settings)
        if surest is not None and scores[surest] > 0:
            return self._read(path, surest, declared.settings)
        # content of some formats shows nothing (samples without headers), or its first header is damaged
        summary = self._read(path, declared.format, declared.settings)
        return summary if summary.n_events else self._read(path, None, declared.settings)

    def _read(self, path: Path, name: str | None, settings: DaqSettings) -> FileSummary:
        return summarise(open_raw(path, name, settings, formats=self._formats))

    def digest(self, path: Path) -> Digests:
        """Read a file once and return its digests.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        Digests
            Of its bytes.

        Raises
        ------
        SourceVanished, SourceUnreadable
            Where it cannot be read.
        """
        shown = escape_name(os.fspath(path))
        try:
            return digest_file(path)
        except FileNotFoundError:
            raise SourceVanished(
                f"{shown} is not there any more", where=shown, do="look whether somebody moved it"
            ) from None
        except OSError as error:
            raise SourceUnreadable(
                f"{shown} cannot be read: {reason(error)}", where=shown, do="give this user the right to read it"
            ) from error
