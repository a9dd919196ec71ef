"""``nualley archive add|pause|resume|rename|alias|remove``: what is archived, changed while the archive runs."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from nualley.app.archive_changes import Changed, change_archive
from nualley.app.archive_plan import told, write_group
from nualley.app.finding import is_found, searched_at
from nualley.app.site import Site, open_site
from nualley.archive import PvDefaults, Verb
from nualley.cli.options import Output
from nualley.cli.output import print_json, print_note, print_text

_NEXT = {
    Verb.ADD: "the experiment repository does not say so yet: nualley archive pvs --write pvs/NAME.toml does",
    Verb.RENAME: "write the new name in place of the old one in pvs/*.toml, and wherever else it stands",
    Verb.PAUSE: "nualley check shows it as long as it lasts",
    Verb.RESUME: "nualley archive last PV shows whether values come",
    Verb.REMOVE: "take it out of pvs/*.toml too, if it stands there",
}

_DONE = {
    Verb.ADD: "{pv} is archived",
    Verb.PAUSE: "{pv} is paused",
    Verb.RESUME: "{pv} is archived again",
    Verb.RENAME: "{pv} is archived as {name}",
    Verb.ALIAS: "{pv} is found as {name} too",
    Verb.REMOVE: "{pv} is no longer archived, what is stored of it stays readable",
}

_NO_OPTIONS = PvDefaults()


def add(
    pv: str,
    /,
    *,
    policy: Annotated[PvDefaults, Parameter(name="*")] = _NO_OPTIONS,
    note: str = "",
    output: Output = Output(),
) -> None:
    """Archive a PV from now on, or change how it is archived: only the options that are given.

    Example: nualley archive add LAB:CRYO:T3 --events archive --note "third sensor"

    Parameters
    ----------
    pv : str
        Name of the PV; pva://PV is PV with --protocol pva.
    note : str
        Why; it is kept.
    """
    given = policy.model_dump(mode="json", exclude_unset=True)
    _change(output, Verb.ADD, pv, note=note, policy=given)


def pause(pv: str, /, *, note: str = "", output: Output = Output()) -> None:
    """Stop archiving a PV for a while; it stays paused over restarts, until it is resumed.

    Example: nualley archive pause LAB:CRYO:T3 --note "sensor is exchanged"

    Parameters
    ----------
    pv : str
        Name of the PV.
    note : str
        Why; it is kept.
    """
    _change(output, Verb.PAUSE, pv, note=note)


def resume(pv: str, /, *, note: str = "", output: Output = Output()) -> None:
    """Archive a paused PV again.

    Example: nualley archive resume LAB:CRYO:T3

    Parameters
    ----------
    pv : str
        Name of the PV.
    note : str
        Why; it is kept.
    """
    _change(output, Verb.RESUME, pv, note=note)


def rename(old: str, new: str, /, *, note: str = "", output: Output = Output()) -> None:
    """Archive a PV under the new name that its IOC gave it; its history is found under both names.

    Example: nualley archive rename LAB:CRYO:T3 LAB:CRYO:TC3

    Parameters
    ----------
    old : str
        The name so far.
    new : str
        The name from now on; nothing may have it yet.
    note : str
        Why; it is kept.
    """
    _change(output, Verb.RENAME, old, note=note, name=new)


def alias(name: str, pv: str, /, *, note: str = "", output: Output = Output()) -> None:
    """Give a PV another name, under which its history is found too.

    Example: nualley archive alias BOTTOM LAB:CRYO:T1

    Parameters
    ----------
    name : str
        The other name; nothing may have it yet. nualley archive remove takes it away again.
    pv : str
        Name of the PV.
    note : str
        Why; it is kept.
    """
    _change(output, Verb.ALIAS, pv, note=note, name=name)


def remove(pv: str, /, *, note: str = "", output: Output = Output()) -> None:
    """Stop archiving a PV, or take an alias away; what is stored stays and stays readable.

    Example: nualley archive remove LAB:CRYO:T3

    Parameters
    ----------
    pv : str
        Name of the PV, or an alias.
    note : str
        Why; it is kept.
    """
    _change(output, Verb.REMOVE, pv, note=note)


def _search(site: Site, made: Changed) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether a PV that is new is found, and where it was searched; None where nobody searches."""
    change = made.change
    if change["verb"] != Verb.ADD or not made.is_live or change["changed"].keys() - {"protocol"}:
        return None, ()
    searched = searched_at(site, change["policy"].get("protocol", "ca"))
    return (is_found(site, change["pv"]) if searched else None), searched


def _change(output: Output, verb: Verb, asked: str, **others: Any) -> None:
    site = open_site(output.experiment)
    made = change_archive(site, verb, asked, **others)
    found, searched = _search(site, made)
    pv = made.change["pv"]
    done = _DONE[verb].format(pv=pv, name=made.change["name"])
    if made.is_alias and verb is Verb.REMOVE:
        done = f"{pv} is no longer another name of anything"
    if output.is_json:
        print_json({**made.change, "applied": "now" if made.is_live else "at-next-start", "found": found})
        return
    told = [f"{key}: {values['was']!s} -> {values['is']!s}" for key, values in made.change["changed"].items()]
    print_text(f"{done} otherwise: {', '.join(told)}" if told else done)
    if found is False:
        print_note(f"{pv} is not found yet, searched at {', '.join(searched)}")
    if verb is Verb.ALIAS or made.is_alias:
        return
    if not made.is_live:
        print_note("the archive does not run now: it follows at its next start (nualley up archive)")
    print_note(_NEXT[verb])


def write_pvs(site: Site, path: Path, *, may_replace: bool, output: Output) -> None:
    """Write the PVs that are archived and not declared as a file of the experiment repository.

    Parameters
    ----------
    site : Site
        The experiment.
    path : Path
        The file.
    may_replace : bool
        Whether a file that is there is written anew.
    output : Output
        How the answer is written.
    """
    written = write_group(site, path, may_replace=may_replace)
    if output.is_json:
        left = [{"pv": found.pv, "what": found.what} for found in written.left]
        print_json({"path": str(written.path), "pvs": written.pvs, "left": left})
        return
    print_text(f"{written.path}: {len(written.pvs)} PVs")
    for line in told(written.left):
        print_note(f"left as it is, edit the file that declares it: {line}")
    print_note("next: nualley check, then git add it")
