"""What can be wrong with readers, for monitor and ``nualley doctor``."""

from nualley.core import CheckResult, CheckState
from nualley.daq.registry import Formats, installed_formats

NAME = "daq.readers"


class ReadersCheck:
    """Whether every installed reader can be used.

    Parameters
    ----------
    formats : Formats, optional
        Instead of those installed.
    """

    def __init__(self, formats: Formats | None = None) -> None:
        self._formats = formats

    def __call__(self) -> list[CheckResult]:
        """Import all readers and return what failed, or one result that names them all."""
        formats = self._formats or installed_formats()
        loaded = sorted(formats.load_all())
        failures = [CheckResult(NAME, CheckState.FAILED, failure.what, failure.do) for failure in formats.failures]
        if not loaded:
            failures.append(
                CheckResult(NAME, CheckState.FAILED, "0 raw formats found, expected wavedump", "make install")
            )
        return failures or [CheckResult(NAME, CheckState.OK, f"raw formats: {', '.join(loaded)}")]
