"""What can go wrong when the status page is to be served."""

from nualley.core import ConfigurationError, ExitCode, NualleyError, UsageError


class HostNotLoopbackError(ConfigurationError):
    """The status page was to be shown to other machines; there are no accounts yet."""


class PortRefusedError(ConfigurationError):
    """The port says nothing about where the page would be found."""


class PortTakenError(NualleyError, OSError):
    """Somebody else listens at the address of the status page; no second try finds it free."""

    exit_code = ExitCode.CONFIGURATION
    __str__ = NualleyError.__str__


class TokensError(ConfigurationError):
    """The file of the tokens cannot be used."""


class NotAllowedError(NualleyError, PermissionError):
    """Somebody without a token asks for what needs one."""

    __str__ = NualleyError.__str__


class TooLargeError(UsageError):
    """More bytes are posted than are taken."""
