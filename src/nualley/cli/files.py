"""``nualley files``: files of the catalog, where they lie, and the checksums of any file."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from nualley.cli import files_adopt
from nualley.cli.options import Answer, Output
from nualley.cli.output import print_json, print_note, print_table, print_text, shown_time
from nualley.core import UsageError, escape_name, format_size

if TYPE_CHECKING:
    from nualley.catalog import Catalog, FileRecord

app = App(name="files", help="Files of the catalog: find, show, adopt, and the checksums of any file.")
app.command(files_adopt.adopt)

_HEX = frozenset("0123456789abcdef")


@app.command
def checksum(path: tuple[Path, ...], /, *, output: Answer = Answer()) -> None:
    """Print every checksum of files: of a directory, of all files below it. Needs no experiment.

    Example: nualley files checksum wave0.dat

    Parameters
    ----------
    path : tuple of Path
        Files and directories.
    """
    from nualley.app.checksums import checksums_of, files_below
    from nualley.cli.progress import copy_progress

    if not path:
        raise UsageError("no file is named", where="PATH", do="nualley files checksum FILE")
    with copy_progress() as told:
        found = [checksums_of(each, told) for each in files_below(path)]
    if output.is_json:
        print_json([each.to_json() for each in found])
        return
    for each in found:
        print_text(f"{each.path}  {each.size_B} B")
        for name, digits in each.sums.items():
            print_text(f"  {name:<9} {digits}")


@app.command
def find(
    name: str | None = None,
    /,
    *,
    digest: str | None = None,
    run: str | None = None,
    detector: str | None = None,
    drive: str | None = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 100,
    output: Output = Output(),
) -> None:
    """Find files of the catalog by name, digest, run, detector or drive; all that is named has to fit.

    Example: nualley files find 'wave*.dat' --run cenns-10-42

    Parameters
    ----------
    name : str, optional
        A name, in which ``*`` stands for any text and ``?`` for one character.
    digest : str, optional
        xxh3_128 or adler32 of the bytes.
    run : str, optional
        A run, such as cenns-10-42.
    detector : str, optional
        Whose files.
    drive : str, optional
        On which drive or remote a replica lies that is not missing.
    limit : int
        So many at most; 0 for all.
    """
    from nualley.app.site import open_site

    asked = {"name": name, "digest": digest, "run": run, "detector": detector, "drive": drive}
    if not any(asked.values()):
        raise UsageError("nothing is asked for", where="nualley files find", do="name a file, or --digest, --run, ...")
    site = open_site(output.experiment)
    if detector is not None:
        site.check_detector(detector)
    if drive is not None:
        site.check_drive(drive)
    run_id = site.run(run).run_id if run else None
    catalog = site.catalog()
    found = catalog.find_files(
        name=name,
        digest=None if digest is None else _digest(digest),
        run_id=run_id,
        detector=detector,
        drive=drive,
        limit=limit + 1 if limit else None,
    )
    shown = found[: limit or None]
    if output.is_json:
        print_json([_file_json(catalog, file) for file in shown])
        return
    rows = [
        [
            file.file_id,
            file.run_id,
            file.name,
            file.stage,
            format_size(file.size_B),
            file.xxh3_128,
            _places(catalog, file),
        ]
        for file in shown
    ]
    print_table(("file", "run", "name", "stage", "size", "xxh3_128", "replicas"), rows, right=(0, 4))
    if len(found) > len(shown):
        print_note(f"there are more than {limit}: --limit 0 shows all")


def _digest(text: str) -> str:
    digits = text.lower().strip()
    if len(digits) not in (8, 32) or not _HEX.issuperset(digits):
        raise UsageError(
            f"{text!r} is neither an xxh3_128 nor an adler32",
            where="--digest",
            do="32 or 8 hex digits; nualley files checksum FILE prints them",
        )
    return digits


@app.command
def show(file: str, /, *, output: Output = Output()) -> None:
    """Show a file: its run, digests, what is wrong with it, where its replicas lie, and what was done with it.

    Example: nualley files show cenns-10-42/wave0.dat

    Parameters
    ----------
    file : str
        <run>/<name>, its number, a path at which a replica lies, or its xxh3_128.
    """
    from nualley.app.site import open_site

    catalog = open_site(output.experiment).catalog()
    found = _meant(catalog, file)
    activities = catalog.activities(f"file:{found.run_id}/{found.name}")
    if output.is_json:
        print_json({**_file_json(catalog, found), "activities": [asdict(activity) for activity in activities]})
        return
    print_text(f"{found.run_id}/{found.name}  {found.size_B} B  {found.stage}, format {found.format}")
    print_text(f"  xxh3_128  {found.xxh3_128}")
    print_text(f"  adler32   {found.adler32}")
    print_text(f"  events    {'not counted' if found.n_events is None else found.n_events}")
    for defect in found.defects:
        print_text(f"  defect    {defect['kind']} at byte {defect['offset_B']}: {defect['detail']}")
    print_table(
        ("drive", "path", "state", "last verified"),
        [
            [replica.drive, replica.path, replica.state, shown_time(replica.verified_ns)]
            for replica in catalog.replicas(found.file_id)
        ],
    )
    for activity in activities:
        print_text(f"{shown_time(activity.start_ns)} {activity.kind} by {activity.code or 'unknown'}")


def _meant(catalog: "Catalog", text: str) -> "FileRecord":
    for found in _candidates(catalog, text):
        if len(found) > 1:
            said = ", ".join(f"{file.run_id}/{file.name}" for file in found[:5])
            raise UsageError(
                f"{len(found)} files have these bytes: {said}", where="FILE", do="name one as <run>/<name>"
            )
        if found:
            return found[0]
    raise UsageError(
        f"the catalog knows no file {text!r}",
        where="FILE",
        do="<run>/<name>, a number, the path of a replica, or an xxh3_128; nualley files find looks for it",
    )


def _candidates(catalog: "Catalog", text: str) -> "Iterator[list[FileRecord]]":
    run, _, name = text.partition("/")
    if run and name and (by_run := catalog.find_file(run, name)):
        yield [by_run]
    for path in dict.fromkeys((Path(os.path.abspath(text)), Path(text).resolve())):  # noqa: PTH100 - links stay
        yield catalog.files_at(escape_name(str(path)))
    if text.isdecimal():
        yield catalog.find_files(file_id=int(text))
    if len(text) == 32 and _HEX.issuperset(text.lower()):
        yield catalog.files_by_digest(text.lower())


def _places(catalog: "Catalog", file: "FileRecord") -> str:
    return ", ".join(f"{replica.drive} ({replica.state})" for replica in catalog.replicas(file.file_id))


def _file_json(catalog: "Catalog", file: "FileRecord") -> dict[str, Any]:
    return {**asdict(file), "replicas": [asdict(replica) for replica in catalog.replicas(file.file_id)]}
