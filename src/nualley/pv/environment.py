"""The environment variables that Channel Access and PV Access are steered by, from the settings."""

from collections.abc import Mapping

from nualley.pv.settings import EpicsSettings

# A hung IOC must be noticed within seconds (EPICS' default is half a minute), and one that comes back after hours
# must be found without a beacon: libca otherwise searches only every five minutes; 60 s is the least that it takes.
_UNLESS_SET = {"EPICS_CA_CONN_TMO": "3", "EPICS_PVA_CONN_TMO": "2", "EPICS_CA_MAX_SEARCH_PERIOD": "60"}

_VARIABLES = {
    "addr_list": "EPICS_CA_ADDR_LIST",
    "auto_addr_list": "EPICS_CA_AUTO_ADDR_LIST",
    "name_servers": "EPICS_CA_NAME_SERVERS",
    "pva_addr_list": "EPICS_PVA_ADDR_LIST",
    "pva_auto_addr_list": "EPICS_PVA_AUTO_ADDR_LIST",
    "pva_name_servers": "EPICS_PVA_NAME_SERVERS",
}


def epics_environment(settings: EpicsSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to set before the EPICS libraries start in this process.

    Parameters
    ----------
    settings : EpicsSettings
        The table ``[epics]``. What it names wins over the environment; what it leaves out is not touched.
    environ : mapping of str to str
        The environment as the user left it: time-outs that are set there stay.

    Returns
    -------
    dict of str to str
        ``EPICS_CA_*`` and ``EPICS_PVA_*``; only what has to be set.

    Examples
    --------
    >>> settings = EpicsSettings(addr_list=("10.0.0.1:5064",), auto_addr_list=False)
    >>> epics_environment(settings, {"EPICS_CA_CONN_TMO": "30", "EPICS_PVA_CONN_TMO": "30"})
    {'EPICS_CA_MAX_SEARCH_PERIOD': '60', 'EPICS_CA_ADDR_LIST': '10.0.0.1:5064', 'EPICS_CA_AUTO_ADDR_LIST': 'NO'}
    """
    found = {key: value for key, value in _UNLESS_SET.items() if key not in environ}
    for key, variable in _VARIABLES.items():
        if key in settings.model_fields_set:
            value = getattr(settings, key)
            found[variable] = ("YES" if value else "NO") if isinstance(value, bool) else " ".join(value)
    if settings.max_array_bytes is not None:
        found["EPICS_CA_MAX_ARRAY_BYTES"] = str(settings.max_array_bytes)
        found["EPICS_CA_AUTO_ARRAY_BYTES"] = "NO"  # otherwise libca (3.16 and later) ignores the line above
    return found
