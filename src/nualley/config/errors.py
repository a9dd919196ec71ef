"""What can be wrong with an experiment repository as a whole."""

from collections.abc import Sequence
from pathlib import Path

from nualley.config.mistakes import Mistake
from nualley.core import ConfigurationError, UsageError


class ConfigurationErrors(ConfigurationError):  # noqa: N818 - they come together
    """All mistakes of a repository at once.

    Parameters
    ----------
    mistakes : sequence of Mistake
        At least one, in the order in which they are shown.
    directory : Path
        The experiment directory.
    """

    def __init__(self, mistakes: Sequence[Mistake], directory: Path) -> None:
        n = len(mistakes)
        count = "one mistake" if n == 1 else f"{n} mistakes"
        text = "\n".join(str(mistake) for mistake in mistakes)
        super().__init__(
            f"the experiment repository has {count}\n{text}",
            where=str(directory),
            do=f"mend what is named above, then: nualley check {directory}",
        )
        self.mistakes = tuple(mistakes)


class NoExperimentError(ConfigurationError, FileNotFoundError):
    """No experiment repository where one was looked for."""


class FolderNotEmptyError(UsageError, FileExistsError):
    """A new repository would be written over something."""
