"""Which texts are names of PVs, and which of them mean the same PV."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from nualley.core import UsageError

# letters, digits and the marks that sites use; no dot: '..' never becomes part of a path
_BODY = r"[A-Za-z0-9:_\-+\[\]<>;/#{}]+"
_FIELD = r"[A-Za-z][A-Za-z0-9_]*\$?"  # $: the field as a long string (CA)
_FILTER = r"\{[A-Za-z0-9:'.,_+\-()\[\]{}]+\}"  # channel filters: dead band, flavour of event
_SLICE = r"\[-?\d*(?::-?\d*){0,2}\]"
_NAME = re.compile(rf"{_BODY}(?:\.(?:{_FIELD}(?:{_FILTER}|{_SLICE})?|{_FILTER}|{_SLICE}))?", re.ASCII)

LONGEST = 200
"""A name has so many characters at most: more fit in no path, and nobody asks for them over HTTP."""

NAME_FORM = (
    "letters, digits and : _ - + [ ] < > ; / # { }, then at most one .FIELD, filter or array slice; "
    f"{LONGEST} characters at most"
)
"""What a name is made of, for messages."""


_PROTOCOLS = ("ca", "pva")
_VALUE = ".VAL"  # the field of a record that a name without one means


def split_protocol(text: str) -> tuple[str, str]:
    """Return the protocol that stands before a PV's name, and the name without it.

    Parameters
    ----------
    text : str
        A name as somebody writes it: clients of EPICS say ``pva://PV`` where they mean PV Access.

    Returns
    -------
    tuple of str and str
        ``ca``, ``pva`` or nothing; and the name, which is never kept with a protocol.

    Examples
    --------
    >>> split_protocol("pva://LAB:T"), split_protocol("LAB:T")
    (('pva', 'LAB:T'), ('', 'LAB:T'))
    """
    protocol, mark, name = text.partition("://")
    return (protocol, name) if mark and protocol in _PROTOCOLS else ("", text)


def without_protocol(text: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a PV's name alone, and its options with the protocol that stood before it.

    Parameters
    ----------
    text : str
        A name as somebody writes it, at the command line or in a file of ``pvs/``.
    options : mapping
        What is said of how it is archived.

    Raises
    ------
    UsageError
        Where the two ask for different protocols.

    Examples
    --------
    >>> without_protocol("pva://LAB:T", {"dead_band": 0.1})
    ('LAB:T', {'dead_band': 0.1, 'protocol': 'pva'})
    """
    protocol, name = split_protocol(text)
    if not protocol:
        return text, dict(options)
    asked = options.get("protocol", protocol)
    if asked != protocol:
        raise UsageError(f"{text} asks for {protocol}, and protocol for {asked}", do="leave one of them out")
    return name, {**options, "protocol": protocol}


def same_pv(name: str, is_known: Callable[[str], bool]) -> str:
    """Return the name by which a PV is known: ``PV`` and ``PV.VAL`` are one, where one of them alone is known.

    Parameters
    ----------
    name : str
        A name without a protocol.
    is_known : callable
        Says whether a name is known.

    Returns
    -------
    str
        The name itself where it is known, or where neither is.

    Examples
    --------
    >>> same_pv("LAB:T.VAL", {"LAB:T"}.__contains__), same_pv("LAB:U.VAL", {"LAB:T"}.__contains__)
    ('LAB:T', 'LAB:U.VAL')
    """
    other = name.removesuffix(_VALUE) if name.endswith(_VALUE) else f"{name}{_VALUE}"
    return other if not is_known(name) and is_known(other) else name


def is_valid_pv_name(name: str) -> bool:
    """Say whether a text can be the name of a PV.

    Parameters
    ----------
    name : str
        A name, with or without field, channel filter or array slice.

    Returns
    -------
    bool
        True where a control system could serve it.

    Examples
    --------
    >>> is_valid_pv_name("LN-AM{RadMon:1}Lvl:Raw-I.{'dbnd':{'abs':1.5}}")
    True
    >>> is_valid_pv_name("../secret")
    False
    """
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None
