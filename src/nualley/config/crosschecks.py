"""What one file says of another: detectors, PVs, formats and drives that must exist elsewhere, and their places."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from nualley.archive import Condition, is_valid_pv_name, same_pv
from nualley.config.documents import Document
from nualley.config.expressions import check_expressions
from nualley.config.files import BEAM, DETECTORS, DRIVES, EXPERIMENT, PEOPLE, PVS, Repository, Use
from nualley.config.mistakes import KeyPath, Mistake
from nualley.config.places import check_places
from nualley.config.selections import check_selections
from nualley.core import nearest
from nualley.storage import words_of

_MOST_DIGITS = 10
_LOGIN_WITH_PASSWORD = re.compile(r"://[^:/@\s]*:[^@/]+@|[?&]password=")
_OTHER_ROLES = ("processed", "simulation", "user")
_SECRETS = (
    ("web", "push_tokens_file"),
    ("web", "manage_tokens_file"),
    ("web", "catalog_tokens_file"),
    ("web", "catalog_write_tokens_file"),
    ("mqtt", "password_file"),
)
_PV_PLACES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    # file kind, keys, whether the PV must be archived
    (BEAM, ("*", "pv"), True),
    (DETECTORS, ("daq", "pvs", "*"), True),
    (EXPERIMENT, ("epics", "heartbeats", "*"), False),
)


def check_together(repository: Repository, formats: Sequence[str]) -> Iterator[Mistake]:
    """Check the files of a repository against each other.

    Parameters
    ----------
    repository : Repository
        All files that could be read; a file with mistakes of its own does not hide those found here.
    formats : sequence of str
        Names of the raw formats that are installed.

    Yields
    ------
    Mistake
        In no particular order.
    """
    for check in _CHECKS:
        yield from check(repository)
    yield from _check_formats(repository, formats)


def _check_detectors(repository: Repository) -> Iterator[Mistake]:
    known = list(repository.of(DETECTORS))
    named = (
        repository.uses(DRIVES, ("drop", "*", "detector")),
        repository.uses(DRIVES, ("ownership", "*", "detector")),
        repository.uses(PEOPLE, ("people", "*", "detectors", "*")),
    )
    for use in chain(*named):
        if use.name not in known:
            yield use.mistake(f"a detector: {', '.join(known) or 'none yet'}", nearest(use.name, known))


def _check_ownership(repository: Repository) -> Iterator[Mistake]:
    detectors = list(repository.of(DETECTORS))
    for use in repository.uses(DRIVES, ("ownership", "*", "path")):
        for word in words_of(use.name, "detector"):
            if word not in detectors and not set("*?") & set(word):
                yield use.mistake(f"detectors in {{detector:...}}: {', '.join(detectors)}", nearest(word, detectors))
    for document in repository.of(DRIVES).values():
        drives = [str(path[-1]) for path, _ in document.find(("drives", "*"))]
        for use in repository.uses(DRIVES, ("ownership", "*", "drives", "*")):
            if use.name not in drives:
                yield use.mistake(f"a drive: {', '.join(drives) or 'none yet'}", nearest(use.name, drives))
        yield from _check_reached(document)


def _check_reached(document: Document) -> Iterator[Mistake]:
    earlier: list[tuple[KeyPath, str, set[str]]] = []
    for path, rule in document.find(("ownership", "*")):
        if not isinstance(rule, dict) or not isinstance(rule.get("path"), str):
            continue  # its own file tells
        pattern, drives = rule["path"], {str(drive) for drive in rule.get("drives") or ()}
        for before, taken, of in earlier:
            if taken in (pattern, "**") and (not of or (drives and drives <= of)):
                expected = f"a path that is reached: line {document.line(before)} matches all that it would"
                yield document.mistake((*path, "path"), found=pattern, expected=expected)
                break
        earlier.append((path, pattern, drives))


def _check_pv_names(repository: Repository) -> Iterator[Mistake]:
    for kind, keys, _ in _PV_PLACES:
        for use in repository.uses(kind, keys):
            if not is_valid_pv_name(use.name):
                yield use.mistake("the name of a PV: letters, digits and : _ - + [ ] < > ; / # { }, at most one .FIELD")


def _check_pvs_archived(repository: Repository) -> Iterator[Mistake]:
    groups = repository.of(PVS).values()
    if any(document.is_partial for document in groups):
        return  # the PV may stand on a line that could not be read
    archived = [use.name for use in repository.archived()]
    for kind, keys, must_be_archived in _PV_PLACES:
        for use in repository.uses(kind, keys) if must_be_archived else ():
            if use.name not in archived and is_valid_pv_name(use.name):
                yield use.mistake("a PV that a file in pvs/ archives", nearest(use.name, archived))


def _check_pv_groups(repository: Repository) -> Iterator[Mistake]:
    first: dict[str, Use] = {}
    for use in repository.archived():
        taken = first.setdefault(same_pv(use.name, first.__contains__), use)
        if taken.document is not use.document:  # else its own file tells
            expected = f"each PV in one group: {taken.origin} has it already"
            yield use.document.mistake(use.path, found=use.path[-1], expected=expected)


def _check_conditions(repository: Repository) -> Iterator[Mistake]:
    groups = repository.of(PVS).values()
    if any(document.is_partial for document in groups):
        return
    archived = [use.name for use in repository.archived()]
    places = ("pv", "*", "only_while"), ("defaults", "only_while")
    for use in chain.from_iterable(repository.uses(PVS, keys) for keys in places):
        try:
            pv = Condition.parse(use.name).pv
        except ValueError:
            continue  # its own file tells
        if pv not in archived:
            yield use.mistake("a PV that a file in pvs/ archives", nearest(pv, archived))


def _check_secrets(repository: Repository) -> Iterator[Mistake]:
    directory = repository.directory.resolve()
    uses = [repository.uses(EXPERIMENT, keys) for keys in _SECRETS]
    for use in chain(*uses, repository.uses(DRIVES, ("remotes", "*", "rclone_config"))):
        try:
            path = Path(directory, Path(use.name).expanduser()).resolve()
        except (RuntimeError, ValueError, OSError):
            yield use.mistake("the path of a file")
            continue
        if path.is_relative_to(directory):
            yield use.mistake("a file outside of the experiment repository: secrets do not belong into git")


def _check_catalog_password(repository: Repository) -> Iterator[Mistake]:
    for use in repository.uses(EXPERIMENT, ("catalog", "url")):
        is_in_file = use.origin.startswith(f"{use.document.file}:")
        if is_in_file and _LOGIN_WITH_PASSWORD.search(use.name):
            yield use.mistake("no password: it belongs into PGPASSWORD or ~/.pgpass (or NUALLEY_CATALOG__URL)")


def _check_copies(repository: Repository) -> Iterator[Mistake]:
    drives = [drive for document in repository.of(DRIVES).values() for drive in _drives(document)]
    is_known = all(not document.is_partial for document in repository.of(DRIVES).values()) and bool(drives)
    n_raw = sum(drive.get("role") not in _OTHER_ROLES for drive in drives)
    for document in repository.of(EXPERIMENT).values():
        for path, value in document.find(("ingest", "copies")):
            if is_known and _count(value) > n_raw:
                expected = f"at most {n_raw}, the number of drives with role raw or any in {DRIVES}"
                yield document.mistake(path, found=value, expected=expected)


def _check_remotes(repository: Repository) -> Iterator[Mistake]:
    documents = repository.of(DRIVES).values()
    if any(document.is_partial for document in documents):
        return
    remotes = [str(path[-1]) for document in documents for path, _ in document.find(("remotes", "*"))]
    for use in repository.uses(EXPERIMENT, ("replicas", "placement", "*", "remotes", "*")):
        if use.name not in remotes:
            yield use.mistake(f"a remote of {DRIVES}: {', '.join(remotes) or 'none yet'}", nearest(use.name, remotes))


def _count(value: object) -> int:
    """Return a whole number, also as the environment writes it; 0 for what is reported elsewhere."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and len(value) < _MOST_DIGITS else 0
    return value if isinstance(value, int) else 0


def _drives(document: Document) -> Iterator[dict[str, object]]:
    yield from (drive for _, drive in document.find(("drives", "*")) if isinstance(drive, dict))


def _check_formats(repository: Repository, formats: Sequence[str]) -> Iterator[Mistake]:
    for use in repository.uses(DETECTORS, ("daq", "format")):
        if use.name not in formats:
            installed = ", ".join(formats) or "none is installed"
            yield use.mistake(f"a raw format: {installed}", nearest(use.name, formats))


_CHECKS: tuple[Callable[[Repository], Iterator[Mistake]], ...] = (
    _check_detectors,
    _check_ownership,
    check_places,
    _check_pv_names,
    _check_pvs_archived,
    _check_pv_groups,
    _check_conditions,
    _check_copies,
    _check_remotes,
    _check_secrets,
    check_expressions,
    check_selections,
    _check_catalog_password,
)
