"""WaveDumpConfig.txt: the text that tells CAEN WaveDump how to take data, kept beside the data.

Sections are ``[COMMON]`` and one per channel (``[0]``); a line is a key and its value; ``#`` begins a comment. What
stands between ``@OFF`` and the next ``@ON``, sections too, is switched off: the DAQ did not read it, it is no setting.
"""

import codecs
from collections.abc import Sequence

CONFIG_NAME = "WaveDumpConfig.txt"
MAX_CONFIG_B = 1 << 20

NOTES = "notes"
_COMMON = "COMMON"
_SWITCHES = ("@ON", "@OFF")  # in capitals only, as WaveDump compares them; it knows no other @-word
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

ConfigValue = str | list[str]


def parse_config(raw: bytes) -> dict[str, dict[str, ConfigValue] | list[str]]:
    r"""Read a WaveDumpConfig.txt.

    Parameters
    ----------
    raw : bytes
        Its bytes, in any encoding.

    Returns
    -------
    dict
        Per section a mapping of key to value, both as they are written; a key that occurs several times in a section
        has the list of its values. ``notes`` (only where there are any) lists the lines that say nothing.

    Examples
    --------
    >>> parse_config(b"[COMMON]\nRECORD_LENGTH 6000  # samples\n[0]\nENABLE_INPUT YES\n")
    {'COMMON': {'RECORD_LENGTH': '6000'}, '0': {'ENABLE_INPUT': 'YES'}}
    """
    sections: dict[str, dict[str, ConfigValue]] = {}
    notes: list[str] = []
    section, is_off = _COMMON, False
    for number, text in enumerate(_decode(raw).splitlines(), start=1):
        line, is_off = _switched_on(text.split("#", 1)[0].split(), is_off)
        if not line:
            continue
        if line.startswith("["):
            section = line[1:-1].strip() if line.endswith("]") else ""
            if not section or section == NOTES:
                notes.append(f"line {number}: {line!r} is no section, expected [COMMON] or [<channel>]")
                section = f"line {number}"
            sections.setdefault(section, {})
        else:
            note = _take(sections.setdefault(section, {}), line)
            if note:
                notes.append(f"line {number}: {note}")
    return {**sections, NOTES: notes} if notes else dict(sections)


def find_integer(settings: dict[str, dict[str, ConfigValue] | list[str]], key: str) -> int | None:
    """Return a whole number of the ``[COMMON]`` section.

    Parameters
    ----------
    settings : dict
        What `parse_config` returned.
    key : str
        Such as ``RECORD_LENGTH``.

    Returns
    -------
    int or None
        None where it is missing, given several times or no whole number.
    """
    common = settings.get(_COMMON, {})
    value = common.get(key) if isinstance(common, dict) else None
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else None


def _switched_on(words: Sequence[str], is_off: bool) -> tuple[str, bool]:
    """Return what of a line is on, and whether what follows it is off; like WaveDump, word by word."""
    kept = []
    for word in words:
        if word in _SWITCHES:
            is_off = word == "@OFF"
        elif not is_off:
            kept.append(word)
    return " ".join(kept), is_off


def _take(keys: dict[str, ConfigValue], line: str) -> str:
    """Take a line into its section; return what is wrong with it, or nothing."""
    key, _, value = line.partition(" ")
    if not key.isprintable() or not value.isprintable():
        return f"{line!r} holds control characters, expected a key and its value"
    if not value:
        return f"{key!r} has no value"
    known = keys.get(key)
    if known is None:
        keys[key] = value
    else:
        keys[key] = [*(known if isinstance(known, list) else [known]), value]
    return ""


def _decode(raw: bytes) -> str:
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return raw.decode(encoding, errors="replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
