"""Whether the sealed files of the archive are whole, as far as anybody noticed."""

from collections.abc import Collection
from pathlib import Path

from nualley.archive.adapters.damage_notes import DamageNotes
from nualley.core import CheckResult, CheckState, first_few, format_time


def check_sealed_files(folder: Path, listed: Collection[str]) -> list[CheckResult]:
    """Return whether a sealed file of the archive was found damaged by any process, or by `nualley archive verify`.

    Parameters
    ----------
    folder : Path
        The archive.
    listed : collection of str
        Paths of its sealed files, relative to it.

    Returns
    -------
    list of CheckResult
        Under the name ``archive.files``.
    """
    notes = DamageNotes(folder)
    # what was merged or dropped meanwhile is nobody's any more
    noted = [damage for damage in notes.noted() if damage.path in listed]
    bad = [damage for damage in noted if damage.is_as_found]
    others = [damage.path for damage in noted if not damage.is_as_found]
    found = []
    if bad:
        words = [f"{each.path} ({each.what}; found {format_time(each.found_ns, digits=0)})" for each in bad]
        detail = f"{len(bad)} of {len(listed)} sealed files are damaged, answers do without them: {first_few(words)}"
        do = "put a backup of each back, then: nualley archive verify (names all, with their sha256); look at the drive"
        found.append(CheckResult("archive.files", CheckState.FAILED, detail, do))
    if others:
        detail = f"something else stands now where sealed files were found damaged: {first_few(others)}"
        found.append(CheckResult("archive.files", CheckState.WARNING, detail, "nualley archive verify says what it is"))
    last = notes.last_verified()
    when = f"all were last read {format_time(last.time_ns, digits=0)}" if last else "they were never all read"
    detail = f"of {len(listed)} sealed files none was found damaged, {when} (nualley archive verify)"
    return found or [CheckResult("archive.files", CheckState.OK, detail)]
