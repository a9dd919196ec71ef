"""Which texts are names of PVs."""

import re

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
