"""What people say of runs: flags, notes and tags; one way for commands and for what comes over HTTP."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from nualley.catalog import Flag, FlagNotFound, Note, Run
from nualley.core import UsageError

if TYPE_CHECKING:
    from nualley.app.site import Site

_TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


def enter_flag(site: "Site", flag: Flag, *, where: str = "--detector") -> Flag:
    """Enter a flag, for good.

    Parameters
    ----------
    site : Site
        The experiment.
    flag : Flag
        What is said.
    where : str
        Where the detector was named.

    Returns
    -------
    Flag
        With its number and time.

    Raises
    ------
    UsageError
        Where the word is not in ``flags.toml``, or nobody knows the detector.
    FlagNotFound, FlagSuperseded
        Where it is to stand in the place of a flag that is not there, or that another one replaced already.
    """
    site.configuration.vocabulary.check(flag.name)
    site.check_detector(flag.detector, where=where)
    return site.catalog().run_lists.add_flag(flag)


def take_flag_back(site: "Site", flag_id: int, *, reason: str, author: str) -> Flag:
    """Take a flag back: it stays in the record, superseded by the withdrawal.

    Parameters
    ----------
    site : Site
        The experiment.
    flag_id : int
        Its number.
    reason, author : str
        Why, and who says so.

    Returns
    -------
    Flag
        The withdrawal.

    Raises
    ------
    FlagNotFound, FlagSuperseded
        Where it is not there, or counts no more.
    """
    run_lists = site.catalog().run_lists
    taken = next((flag for flag in run_lists.flags() if flag.flag_id == flag_id), None)
    if taken is None:
        raise FlagNotFound(f"there is no flag {flag_id}", where="NUMBER", do="nualley runs flags shows them")
    return run_lists.add_flag(
        replace(
            taken,
            flag_id=0,
            reason=reason,
            author=author,
            time_ns=0,
            supersedes=flag_id,
            superseded_by=None,
            is_withdrawal=True,
        )
    )


def enter_note(site: "Site", run_id: str, text: str, *, author: str) -> Note:
    """Write a note to a run, for good.

    Parameters
    ----------
    site : Site
        The experiment.
    run_id : str
        The run.
    text, author : str
        What is to be remembered, and who says so.

    Raises
    ------
    UsageError
        Where one of them is blank.
    RunNotFound
        Where there is no such run.
    """
    for name, words in (("TEXT", text), ("--author", author)):
        if not words.strip():
            raise UsageError(f"{name} is blank: {words!r}, expected words", where=name, do="write what is to be read")
    return site.catalog().add_note(run_id, text, author=author)


def change_tags(site: "Site", run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Run:
    """Give a run tags, or take them away.

    Parameters
    ----------
    site : Site
        The experiment.
    run_id : str
        The run.
    add, remove : iterable of str
        Lower-case letters and digits, joined by single hyphens. None of them is changed where one cannot be a tag.

    Returns
    -------
    Run
        As it is now.

    Raises
    ------
    UsageError
        Where none is named, or one cannot be a tag.
    RunNotFound
        Where there is no such run.
    """
    given, taken = tuple(add), tuple(remove)
    if not (given or taken):
        raise UsageError("no tag is named", where="TAG", do="name one or more, such as calibration")
    for word in (*given, *taken):
        if not _TAG.fullmatch(word):
            raise UsageError(
                f"{word!r} cannot be a tag", where="TAG", do="use lower-case letters, digits and single hyphens"
            )
    catalog = site.catalog()
    for word in given:
        catalog.add_tag(run_id, word)
    for word in taken:
        catalog.remove_tag(run_id, word)
    return catalog.run(run_id)
