"""What can go wrong with live values."""

from nualley.core import ConfigurationError, IntegrityError, UsageError


class PvRefusedError(ConfigurationError):
    """A PV name that Channel Access does not take."""


class EpicsStartedError(ConfigurationError):
    """Channel Access was started in this process with other addresses: libca reads them once."""


class BusEndpointError(ConfigurationError):
    """The live bus cannot be opened at its endpoint."""


class BusMessageError(UsageError):
    """A mapping that is no event of a live value."""


class BusFrameError(IntegrityError):
    """Frames on the live bus that are not ours."""


class PushFormError(UsageError):
    """What a program pushes has another form than a push."""


class PayloadError(UsageError):
    """What an MQTT message holds says nothing of a PV that can be read."""


class MqttSecretError(ConfigurationError):
    """The password for the MQTT broker cannot be used."""


class ExpressionError(UsageError):
    """A text that is no expression over PVs."""
