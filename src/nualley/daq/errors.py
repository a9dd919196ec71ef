"""What can go wrong around a raw file; what is wrong inside one is a defect, not an error."""

from nualley.core import ConfigurationError, IntegrityError, NualleyError, UsageError


class UnreadableFileError(NualleyError, OSError):
    """The operating system does not let us read the file, or a library that its bytes need is missing."""


class FileShrankError(IntegrityError):
    """The file became shorter while, or since, it was read: a DAQ only appends."""


class BadOffsetError(UsageError):
    """Reading was to begin at a place where no event begins."""


class UnknownFormatError(ConfigurationError, LookupError):
    """A format was asked for by a name that no reader has."""


class MissingSettingError(ConfigurationError):
    """The file cannot be read without a value of the detector's ``[daq]`` table."""


class PluginError(NualleyError, ImportError):
    """A reader plug-in cannot be imported, is no format, or raised where it must not."""
