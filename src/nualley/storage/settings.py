"""Settings of storage: drives, drop directories, ownership, scans and where a replica lies (``drives.toml``)."""

import re
import string
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from nualley.core import DAY_NS, SECOND_NS, UsageError, nearest, parse_duration_ns, parse_quantity, plain_path
from nualley.storage.models import Drive, DriveRole, NotedUsage, OwnershipRule, Remote, RemoteKind
from nualley.storage.patterns import check_pattern, keys_of

DEFAULT_REPLICA_PATH = "{drive}/{detector}/raw/{run}/{name}"
TEMPLATE_KEYS = ("drive", "detector", "run", "name")

_LONGEST_NS = 100 * 365 * DAY_NS
_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")


def _size_B(value: object) -> object:
    return round(parse_quantity(value, "B")) if isinstance(value, str) else _refuse_number(value, "124 TiB")


def _fraction(value: object) -> object:
    if not isinstance(value, str):
        return _refuse_number(value, "97 %")
    fraction = round(parse_quantity(value, "1"), 12)
    if not 0 <= fraction <= 1:
        raise UsageError(f"{value!r} is no part of a drive", do='write "0 %" to "100 %"')
    return fraction


def _duration_ns(value: object) -> object:
    if not isinstance(value, str):
        return _refuse_number(value, "7d")
    duration_ns = parse_duration_ns(value)
    if duration_ns > _LONGEST_NS:  # times are 64 bits wide
        raise UsageError(f"{value!r} is longer than 100 years", do='write a shorter time, such as "7d"')
    return duration_ns


def _refuse_number(value: object, example: str) -> object:
    if isinstance(value, int | float):
        raise UsageError(f"{value!r} has no unit", do=f'write it as text with its unit, such as "{example}"')
    return value


def _role(value: object) -> object:
    if isinstance(value, str) and value not in set(DriveRole):
        near = nearest(value, [str(role) for role in DriveRole])
        hint = f"did you mean {near!r}? " if near else ""
        raise UsageError(f"{value!r} is not a role of a drive", do=f"{hint}roles: {', '.join(DriveRole)}")
    return value


def _template(template: str) -> str:
    for _, key, format_spec, conversion in _template_fields(template):
        if key is None:
            continue
        if key not in TEMPLATE_KEYS:
            near = nearest(key, TEMPLATE_KEYS)
            hint = f"did you mean {{{near}}}? " if near else ""
            raise UsageError(f"{{{key}}} is not a key of replica_path", do=f"{hint}keys: {', '.join(TEMPLATE_KEYS)}")
        if format_spec or conversion:
            raise UsageError(f"{{{key}}} has a format in replica_path {template!r}", do=f"write {{{key}}} alone")
    _check_template_shape(template)
    return template


def _template_fields(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"replica_path {template!r}: {error}", do=f'write it as "{DEFAULT_REPLICA_PATH}"') from None


def _check_template_shape(template: str) -> None:
    parts = template.split("/")
    missing = [key for key in TEMPLATE_KEYS if f"{{{key}}}" not in template]
    if missing:
        raise UsageError(
            f"replica_path {template!r} lacks {', '.join(f'{{{key}}}' for key in missing)}: files would share a path",
            do=f'name every key, as in "{DEFAULT_REPLICA_PATH}"',
        )
    if parts[0] != "{drive}" or parts[-1] != "{name}" or template.count("{drive}") > 1:
        raise UsageError(
            f"replica_path {template!r} must begin with {{drive}}/ and end with /{{name}}",
            do=f'write it as "{DEFAULT_REPLICA_PATH}"',
        )
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"replica_path {template!r} has an empty, '.' or '..' part", do="write plain folder names")
    if any(part.count("{") > 1 for part in parts):
        raise UsageError(
            f"replica_path {template!r} joins two keys in one folder name: two runs could share a path",
            do="part them with '/'",
        )


def _text_such_as(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [example]})


SizeB = Annotated[int, BeforeValidator(_size_B), Field(ge=0), _text_such_as("124 TiB")]
Fraction = Annotated[float, BeforeValidator(_fraction), _text_such_as("97 %")]
DurationNs = Annotated[int, BeforeValidator(_duration_ns), Field(ge=0), _text_such_as("7d")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class NotedSettings(_Table):
    """What somebody wrote down about a drive: for drives that this machine does not see."""

    size_B: SizeB = Field(alias="size", description="Size [B], such as '124 TiB'.")
    used_fraction: Fraction = Field(alias="used", ge=0, le=1, description="Filled part of it, such as '95 %'.")
    on: date | None = Field(default=None, description="The day on which it was so.")
    source: str = Field(default="unknown", description="Where this is written.")

    def noted(self) -> NotedUsage:
        """Return it as a value."""
        return NotedUsage(self.size_B, self.used_fraction, self.on, self.source)


class DriveSettings(_Table):
    """One drive, ``[drives.<name>]``."""

    path: Path = Field(description="Where it is mounted; a relative path starts at the experiment directory.")
    role: Annotated[DriveRole, BeforeValidator(_role)] = Field(
        default=DriveRole.ANY, description="What may be written there: raw, processed, simulation, user or any."
    )
    limit_fraction: Fraction = Field(
        default=0.97, alias="limit", gt=0, le=1, description="Filled part above which nothing more is written to it."
    )
    mounted: bool = Field(
        default=False,
        description="True: while the path is no mount point the drive counts as missing, also at first use. Later the "
        "marker that it got then tells it from the empty folder below it.",
    )
    noted: NotedSettings | None = Field(default=None, description="Size and fill as somebody wrote them down.")


_RCLONE_PLACE = re.compile(r"[\w.+@-][\w .+@-]*:[^\x00-\x1f]*")
_XROOTD_PLACE = re.compile(r"roots?://[^/@\s?]+//[^\s?]*")


def _rclone_place(place: str) -> str:
    if _RCLONE_PLACE.fullmatch(place) is None:
        raise UsageError(
            f"{place!r} is no place of rclone",
            do='write "NAME:path", where "rclone config" has made NAME; how it is reached, and passwords, stay there',
        )
    return place


def _xrootd_place(place: str) -> str:
    if _XROOTD_PLACE.fullmatch(place) is None:
        raise UsageError(
            f"{place!r} is no address of an XRootD server",
            do='write "root://HOST:1094//path", without a login: XRootD takes it from the environment',
        )
    return place


class RemoteSettings(_Table):
    """A place that is no drive of this machine, ``[remotes.<name>]``; its password is never written here."""

    rclone: Annotated[str, AfterValidator(_rclone_place)] | None = Field(
        default=None,
        description='What rclone knows, "NAME:path": NAME is what "rclone config" made, or the variables '
        "RCLONE_CONFIG_NAME_TYPE and so on; address, login and password are there.",
    )
    rclone_config: Path | None = Field(
        default=None,
        description="rclone's file with addresses and passwords, outside of the experiment repository; by default its "
        "own, ~/.config/rclone/rclone.conf.",
    )
    xrootd: Annotated[str, AfterValidator(_xrootd_place)] | None = Field(
        default=None,
        description='URL of a directory of an XRootD server, "root://HOST:1094//path"; the login is taken from the '
        "environment (X509_USER_PROXY, BEARER_TOKEN_FILE).",
    )

    @model_validator(mode="after")
    def _says_one_place(self) -> Self:
        if (self.rclone is None) == (self.xrootd is None):
            said = "no place" if self.rclone is None else "two places"
            raise UsageError(f"it names {said}", do="give either rclone or xrootd")
        if self.rclone_config is not None and self.rclone is None:
            raise UsageError("rclone_config goes with rclone", do="leave it out")
        return self

    def to_remote(self, name: str) -> Remote:
        """Return it as a value."""
        if self.rclone is not None:
            return Remote(name, RemoteKind.RCLONE, self.rclone, self.rclone_config)
        return Remote(name, RemoteKind.XROOTD, self.xrootd or "")


class PurgeSettings(_Table):
    """When the DAQ's own copy in a drop directory may go, ``purge`` of ``[[drop]]``."""

    copies: int = Field(default=2, ge=2, description="Re-read, verified replicas on other drives, at least.")
    min_age_ns: DurationNs = Field(
        alias="min_age",
        description="Age since the end of the run [ns], such as '7d'; only time that nualley saw pass counts.",
    )
    dry_run_ns: DurationNs = Field(
        default=30 * DAY_NS,
        alias="dry_run",
        description="So long after it was first seen, or changed, it is only told what would go [ns].",
    )
    daily_B: SizeB = Field(
        default=2**40, alias="daily", description="Most bytes that go to the trash in 24 hours [B], such as '1 TiB'."
    )
    trash_ns: DurationNs = Field(
        default=7 * DAY_NS,
        alias="trash",
        description="Time in the trash, from which a file can be put back, before it is deleted for good [ns].",
    )
    enabled: bool = Field(
        default=True,
        description="False: nothing goes and nothing is deleted, as with a file nualley-no-purge in the directory or "
        "in the store.",
    )


class DropSettings(_Table):
    """A directory into which a DAQ writes, ``[[drop]]``."""

    path: Path = Field(description="The directory; a relative path starts at the experiment directory.")
    detector: str = Field(min_length=1, description="Whose data they are: the id of a detector.")
    purge: PurgeSettings | None = Field(default=None, description="Absent: files there are never deleted.")


def _stage(word: str) -> str:
    if _NAME.fullmatch(word) is None:
        raise UsageError(f"{word!r} is not a name for a stage", do="use lower-case letters, digits, '-' and '_'")
    return word


class OwnershipSettings(_Table):
    """Whose directories are, ``[[ownership]]``; the first rule that matches wins."""

    path: Annotated[str, AfterValidator(check_pattern)] = Field(
        description="Directory below the root of a drive, and all that is in it. * is any text in a folder's name, ** "
        "any number of folders; {detector}, {stage}, {run}, {owner} take what stands there, {stage:hit|evt} only these "
        "words."
    )
    detector: str | None = Field(default=None, min_length=1, description="Id of the detector that the data are of.")
    stage: Annotated[str, AfterValidator(_stage)] | None = Field(
        default=None, description="What they are: raw, a tier of processing, simulation, user or another word."
    )
    owner: str | None = Field(default=None, min_length=1, description="Who answers for them.")
    drives: tuple[str, ...] = Field(default=(), description="Names of the drives that this is for; by default all.")

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        taken = keys_of(self.path)
        given = [key for key in ("detector", "stage", "owner") if getattr(self, key) is not None]
        for key in given:
            if key in taken:
                raise UsageError(
                    f"{key} is said twice: by {{{key}}} in the path and by the key", do=f"leave out {key} or {{{key}}}"
                )
        if not given and not set(taken) - {"run"}:
            raise UsageError(
                "nothing is said of the directory", do="give detector, stage or owner, or take them from path"
            )
        return self

    def rule(self) -> OwnershipRule:
        """Return it as a value."""
        return OwnershipRule(self.path, self.detector, self.stage, self.owner, self.drives)


class ScanSettings(_Table):
    """How often the worker looks at the drives, ``[scan]``."""

    every_ns: DurationNs = Field(
        default=7 * DAY_NS,
        ge=0,
        alias="every",
        description="Time between two full scans of a drive [ns], such as '7d'; '0s': none.",
    )
    quick_ns: DurationNs = Field(
        default=300 * SECOND_NS,
        alias="quick",
        description="Time between two looks at directories that changed, and at the hot ones [ns]; '0s': none.",
    )
    hot_ns: DurationNs = Field(
        default=14 * DAY_NS,
        alias="hot",
        description="A directory is hot as long after the last change of a file in it [ns]: files there may grow in "
        "place, which its own time does not tell.",
    )
    fill_ns: DurationNs = Field(
        default=60 * SECOND_NS,
        alias="fill",
        description="Time between two notes of how full drives are [ns]; '0s': none.",
    )


T = TypeVar("T")


def _names_of(thing: str) -> Callable[[Mapping[str, T]], Mapping[str, T]]:
    def check(tables: Mapping[str, T]) -> Mapping[str, T]:
        for name in tables:
            if _NAME.fullmatch(name) is None:
                raise UsageError(
                    f"{name!r} is not a name for a {thing}", do="use lower-case letters, digits, '-' and '_'"
                )
        return tables

    return check


class StorageSettings(_Table):
    """What ``drives.toml`` says."""

    replica_path: Annotated[str, AfterValidator(_template)] = Field(
        default=DEFAULT_REPLICA_PATH,
        description="Where a file lies on a drive; keys: {drive} (its path), {detector}, {run} (number), {name}.",
    )
    drives: Annotated[Mapping[str, DriveSettings], AfterValidator(_names_of("drive"))] = Field(
        default_factory=dict, description="The drives by name."
    )
    remotes: Annotated[Mapping[str, RemoteSettings], AfterValidator(_names_of("remote"))] = Field(
        default_factory=dict, description="Places that are no drives of this machine, by name; no drive has the same."
    )
    drop: tuple[DropSettings, ...] = Field(default=(), description="Directories that ingest watches.")
    ownership: tuple[OwnershipSettings, ...] = Field(default=(), description="Whose directories are, in this order.")
    scan: ScanSettings = Field(default=ScanSettings(), description="How often the worker looks at the drives.")

    @model_validator(mode="after")
    def _names_each_place_once(self) -> Self:
        for name in self.remotes:
            if name in self.drives:
                raise UsageError(f"{name!r} is the name of a drive and of a remote", do="give one of them another name")
        return self

    def resolve(self, directory: Path) -> "StorageSettings":
        """Return the same settings with every relative path starting at ``directory``.

        Parameters
        ----------
        directory : Path
            The experiment directory.

        Returns
        -------
        StorageSettings
            With absolute paths; ``~`` stands for the user's home, and ``..`` is in none.
        """
        drives = {
            name: drive.model_copy(update={"path": _absolute(directory, drive.path)})
            for name, drive in self.drives.items()
        }
        drop = tuple(entry.model_copy(update={"path": _absolute(directory, entry.path)}) for entry in self.drop)
        remotes = {
            name: remote.model_copy(update={"rclone_config": _absolute(directory, remote.rclone_config)})
            if remote.rclone_config
            else remote
            for name, remote in self.remotes.items()
        }
        return self.model_copy(update={"drives": drives, "drop": drop, "remotes": remotes})

    def to_rules(self) -> tuple[OwnershipRule, ...]:
        """Return the rules of ownership in their order, after them the one that `replica_path` implies."""
        inner = self.replica_path.removeprefix("{drive}/").removesuffix("/{name}")
        return (*(entry.rule() for entry in self.ownership), OwnershipRule(inner, stage="raw"))

    def to_drives(self) -> tuple[Drive, ...]:
        """Return the drives as values, in the order of the file."""
        return tuple(
            Drive(
                name=name,
                path=drive.path,
                role=drive.role,
                limit_fraction=drive.limit_fraction,
                must_be_mounted=drive.mounted,
                noted=drive.noted.noted() if drive.noted else None,
            )
            for name, drive in self.drives.items()
        )

    def to_remotes(self) -> tuple[Remote, ...]:
        """Return the remotes as values, in the order of the file."""
        return tuple(remote.to_remote(name) for name, remote in self.remotes.items())


def _absolute(directory: Path, path: Path) -> Path:
    return plain_path(Path(directory.absolute(), path.expanduser()))
