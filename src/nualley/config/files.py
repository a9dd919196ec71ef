"""Which files make a repository, and which model reads each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel

from nualley.archive import PvGroup, split_protocol
from nualley.catalog import Vocabulary
from nualley.config.documents import Document, read
from nualley.config.mistakes import KeyPath, Mistake
from nualley.config.settings import ExperimentFile
from nualley.core import nearest
from nualley.experiment import Beam, Detector, People
from nualley.selection import SelectionFile
from nualley.storage import StorageSettings

EXPERIMENT = "experiment.toml"
BEAM = "beam.toml"
PEOPLE = "people.toml"
DRIVES = "drives.toml"
DETECTORS = "detectors/*.toml"
PVS = "pvs/*.toml"
FLAGS = "flags.toml"
SELECTIONS = "selections/*.toml"


@dataclass(frozen=True, slots=True)
class FileKind:
    """Files of one sort.

    Parameters
    ----------
    model : type of BaseModel
        What they say.
    purpose : str
        What they are for, in a few words.
    is_required : bool
        Whether a repository without one is incomplete.
    stem_key : str
        Key of the model that the file's name gives; empty where there is none.
    """

    model: type[BaseModel]
    purpose: str
    is_required: bool = False
    stem_key: str = ""


KINDS: Mapping[str, FileKind] = MappingProxyType(
    {
        EXPERIMENT: FileKind(ExperimentFile, "the experiment's name, store and services", is_required=True),
        BEAM: FileKind(Beam, "the PVs of the beam", is_required=True),
        DRIVES: FileKind(StorageSettings, "the drives and drop directories", is_required=True),
        PEOPLE: FileKind(People, "who is who"),
        DETECTORS: FileKind(Detector, "one detector each", is_required=True, stem_key="id"),
        PVS: FileKind(PvGroup, "PVs that are archived"),
        FLAGS: FileKind(Vocabulary, "the words of flags"),
        SELECTIONS: FileKind(SelectionFile, "one selection each", stem_key="name"),
    }
)


@dataclass(frozen=True, slots=True)
class Use:
    """A name that a file uses.

    Parameters
    ----------
    document : Document
        The file.
    path : tuple of str and int
        Where it stands there.
    name : str
        The name.
    """

    document: Document
    path: KeyPath
    name: str

    @property
    def origin(self) -> str:
        """Who said it: ``FILE:LINE``, or the variable of the environment."""
        return self.document.origin(self.path)

    def mistake(self, expected: str, near: str = "") -> Mistake:
        """Return the mistake that something else is expected here."""
        return self.document.mistake(self.path, found=self.name, expected=expected, nearest=near)


@dataclass(frozen=True, slots=True)
class Repository:
    """All files that could be read.

    Parameters
    ----------
    directory : Path
        The experiment directory.
    documents : mapping of str to Document
        By path below the experiment directory.
    """

    directory: Path
    documents: Mapping[str, Document]

    def of(self, pattern: str) -> Mapping[str, Document]:
        """Return the files of one kind, by the stem of their name, sorted."""
        return {Path(file).stem: self.documents[file] for file in sorted(self.documents) if kind_of(file) == pattern}

    def uses(self, pattern: str, keys: Sequence[str]) -> Iterator[Use]:
        """Go to every text that stands in files of one kind at a place, where ``*`` stands for any key or index."""
        for document in self.of(pattern).values():
            for path, value in document.find(keys):
                if isinstance(value, str):
                    yield Use(document, path, value)

    def archived(self) -> Iterator[Use]:
        """Go to every PV that files of ``pvs/`` archive, under its name alone."""
        for document in self.of(PVS).values():
            for path, _ in document.find(("pv", "*")):
                yield Use(document, path, split_protocol(str(path[-1]))[1])


def kind_of(file: str) -> str:
    """Return the pattern in `KINDS` that a path below the experiment directory belongs to."""
    return f"{file.partition('/')[0]}/*.toml" if "/" in file else file


def read_repository(directory: Path) -> tuple[Repository, list[Mistake]]:
    """Read every file of a repository.

    Parameters
    ----------
    directory : Path
        The experiment directory.

    Returns
    -------
    tuple of Repository and list of Mistake
        What could be read; files that are missing, unreadable, broken or seem to have a wrong name.
    """
    documents: dict[str, Document] = {}
    mistakes: list[Mistake] = []
    for pattern, kind in KINDS.items():
        files = sorted(_existing(directory, pattern))
        if not files and kind.is_required:
            mistakes.append(_missing(directory, pattern, kind))
        for file in files:
            found = read(file, directory / file)
            if isinstance(found, Mistake):
                mistakes.append(found)
            else:
                documents[file] = found
                mistakes.extend(found.mistakes)
    mistakes.extend(_misnamed(directory))
    return Repository(directory, documents), mistakes


def _existing(directory: Path, pattern: str) -> Iterator[str]:
    folder, _, name = pattern.rpartition("/")
    for path in (directory / folder).glob(name):
        if not path.name.startswith("."):  # an editor's lock or back-up
            yield f"{folder}/{path.name}" if folder else path.name


def _missing(directory: Path, pattern: str, kind: FileKind) -> Mistake:
    present = [entry.name for entry in directory.iterdir()] if directory.is_dir() else []
    wanted = pattern.partition("/")[0]
    return Mistake(pattern, None, "", "no such file", f"a file with {kind.purpose}", nearest(wanted, present))


def _misnamed(directory: Path) -> Iterator[Mistake]:
    """Find names that come near to one that would be read; others belong to somebody else."""
    known = {pattern.partition("/")[0] for pattern in KINDS}
    for entry in sorted(directory.iterdir()) if directory.is_dir() else []:
        near = nearest(entry.name, (name for name in known if ("." in name) == entry.is_file()))
        is_like_toml = entry.is_dir() or entry.suffix == ".toml"
        if entry.name not in known and near and is_like_toml and not (directory / near).exists():
            yield Mistake(entry.name, None, "", "a name that is not read", f"one of {', '.join(sorted(known))}", near)
