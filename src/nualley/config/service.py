"""Finding, reading, checking and describing an experiment repository."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from pydantic import BaseModel

from nualley.archive import PvGroup
from nualley.catalog import Vocabulary
from nualley.config.configuration import Configuration
from nualley.config.crosschecks import check_together
from nualley.config.documents import read
from nualley.config.environment import override
from nualley.config.errors import ConfigurationErrors, NoExperimentError
from nualley.config.files import (
    BEAM,
    DETECTORS,
    DRIVES,
    EXPERIMENT,
    FLAGS,
    KINDS,
    PEOPLE,
    PVS,
    SELECTIONS,
    Repository,
    kind_of,
    read_repository,
)
from nualley.config.mistakes import Mistake, order
from nualley.config.settings import ExperimentFile
from nualley.config.validation import validate
from nualley.core import nearest
from nualley.daq import format_names
from nualley.experiment import Beam, Detector, People
from nualley.selection import SelectionFile
from nualley.storage import StorageSettings

VARIABLE = "NUALLEY_EXPERIMENT"

ModelT = TypeVar("ModelT", bound=BaseModel)


def find_experiment(start: Path, environ: Mapping[str, str], option: Path | None = None) -> Path:
    """Find the experiment directory.

    Parameters
    ----------
    start : Path
        Where the search begins: the working directory.
    environ : mapping of str to str
        The environment; NUALLEY_EXPERIMENT names the directory.
    option : Path, optional
        What the user gave with ``--experiment``; it wins.

    Returns
    -------
    Path
        Absolute: the option, the variable, or the nearest parent of ``start`` with an experiment.toml.

    Raises
    ------
    NoExperimentError
        Where there is none.
    """
    named = option or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is not None:
        directory = Path(start, named).absolute()
        if (directory / EXPERIMENT).is_file():
            return directory
        where = str(directory) if option else VARIABLE
        if not directory.is_dir():
            raise NoExperimentError(f"{directory} is no directory", where=where, do="look at the path")
        raise NoExperimentError(f"{directory} has no {EXPERIMENT}", where=where, do=f"nualley init {directory}")
    for directory in (start.absolute(), *start.absolute().parents):
        if (directory / EXPERIMENT).is_file():
            return directory
    raise NoExperimentError(
        f"neither {start.absolute()} nor a directory above it has an {EXPERIMENT}",
        do=f"go to your experiment's directory, name it with --experiment DIR or {VARIABLE}, or write one: "
        "nualley init DIR",
    )


def load(directory: Path, environ: Mapping[str, str], formats: Sequence[str] | None = None) -> Configuration:
    """Read an experiment repository.

    Parameters
    ----------
    directory : Path
        The experiment directory.
    environ : mapping of str to str
        The environment; NUALLEY_STORE, NUALLEY_ARCHIVE__ROTATE_S and the like win over experiment.toml.
    formats : sequence of str, optional
        Names of raw formats instead of those installed.

    Returns
    -------
    Configuration
        All of it, without a mistake.

    Raises
    ------
    ConfigurationErrors
        With every mistake.
    """
    configuration, mistakes = _examine(directory, environ, formats)
    if configuration is None:
        raise ConfigurationErrors(mistakes, directory)
    return configuration


def check(directory: Path, environ: Mapping[str, str], formats: Sequence[str] | None = None) -> list[Mistake]:
    """Find every mistake of an experiment repository.

    Parameters
    ----------
    directory : Path
        The experiment directory.
    environ : mapping of str to str
        The environment.
    formats : sequence of str, optional
        Names of raw formats instead of those installed.

    Returns
    -------
    list of Mistake
        By file and line; empty where all is well.
    """
    return _examine(directory, environ, formats)[1]


def repository_of(path: Path) -> Path | None:
    """Return the experiment directory whose repository reads a file, None where none does.

    Parameters
    ----------
    path : Path
        A file, such as ``selections/quiet.toml`` beside an experiment.toml.
    """
    whole = path.absolute()
    for directory, name in ((whole.parent, whole.name), (whole.parent.parent, f"{whole.parent.name}/{whole.name}")):
        pattern = kind_of(name)
        if pattern in KINDS and (directory / EXPERIMENT).is_file() and not whole.name.startswith("."):
            return directory
    return None


def check_files(paths: Sequence[Path]) -> list[list[Mistake]]:
    """Find the mistakes of files: all that loading finds where a repository reads them, else what stands in them.

    Parameters
    ----------
    paths : sequence of Path
        Files of experiment repositories.

    Returns
    -------
    list of list of Mistake
        Of each file, by line; empty where all is well. A selection that misses what a file no longer describes counts
        for that file too.
    """
    checked: dict[Path, list[Mistake]] = {}
    found = []
    for path in paths:
        directory = repository_of(path)
        if directory is not None and directory not in checked:
            checked[directory] = check(directory, {})
        found.append(_check_alone(path) if directory is None else _of_file(path, directory, checked[directory]))
    return found


def _of_file(path: Path, directory: Path, mistakes: Sequence[Mistake]) -> list[Mistake]:
    name = path.absolute().relative_to(directory).as_posix()
    is_named = kind_of(name) != SELECTIONS  # selections name what stands in the others
    said = str(path)
    base = Path(said.removesuffix(name)) if said.endswith(name) else directory  # in the words of who asks
    return [
        replace(mistake, file=said if mistake.file == name else str(base / mistake.file))
        for mistake in mistakes
        if mistake.file == name or (is_named and kind_of(mistake.file) == SELECTIONS)
    ]


def _check_alone(path: Path) -> list[Mistake]:
    name = path.name if path.name in KINDS else f"{path.absolute().parent.name}/{path.name}"
    pattern = kind_of(name)
    if pattern not in KINDS:
        expected = f"the name of one of {', '.join(KINDS)}"
        return [Mistake(str(path), None, "", "a name that is not read", expected, nearest(name, KINDS))]
    found = read(str(path), path)
    if isinstance(found, Mistake):
        return [found]
    kind = KINDS[pattern]
    _, mistakes = validate(found, kind.model, {kind.stem_key: path.stem} if kind.stem_key else {})
    return order([*found.mistakes, *mistakes])


def schemas() -> dict[str, dict[str, object]]:
    """Return the JSON Schema of each file of a repository, by file name or pattern."""
    return {pattern: _schema(pattern) for pattern in KINDS}


def _schema(pattern: str) -> dict[str, object]:
    kind = KINDS[pattern]
    schema = kind.model.model_json_schema(by_alias=True)
    if kind.stem_key:
        schema["properties"].pop(kind.stem_key)
        schema["required"] = [key for key in schema["required"] if key != kind.stem_key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": pattern}


def _examine(
    directory: Path, environ: Mapping[str, str], formats: Sequence[str] | None
) -> tuple[Configuration | None, list[Mistake]]:
    repository, mistakes = read_repository(directory)
    for document in repository.of(EXPERIMENT).values():
        override(document, environ, ExperimentFile)
    values: dict[str, BaseModel] = {}
    for file, document in repository.documents.items():
        value, found = _validate(file, repository)
        mistakes.extend(found)
        if value is not None:
            values[document.file] = value
    mistakes.extend(check_together(repository, format_names() if formats is None else formats))
    if mistakes:
        return None, order(mistakes)
    return _join(directory.absolute(), values), []


_TOGETHER = {
    PVS: "whether PVs that other files name are archived",
    FLAGS: "whether flags that selections name are described",
    DRIVES: "whether there are drives enough for the copies",
}
"""What cannot be said where a file of a kind could not be read whole."""


def left_out(directory: Path) -> tuple[str, ...]:
    """Return which checks `check` leaves out because files could not be read whole, in words; none where all could.

    Parameters
    ----------
    directory : Path
        The experiment repository.
    """
    repository, _ = read_repository(directory)
    partial = [document.file for document in repository.documents.values() if document.is_partial]
    found = [f"which keys are missing in {file}" for file in partial]
    for kind, what in _TOGETHER.items():
        files = [file for file in partial if kind_of(file) == kind]
        found += [f"{what} ({', '.join(files)})"] if files else []
    return tuple(found)


def _validate(file: str, repository: Repository) -> tuple[BaseModel | None, list[Mistake]]:
    kind = KINDS[kind_of(file)]
    given = {kind.stem_key: Path(file).stem} if kind.stem_key else {}
    return validate(repository.documents[file], kind.model, given)


def _join(directory: Path, values: Mapping[str, BaseModel]) -> Configuration:
    experiment = cast("ExperimentFile", values[EXPERIMENT])
    return Configuration(
        directory=directory,
        store=directory / experiment.store.expanduser(),
        experiment=experiment,
        detectors=_by_stem(values, DETECTORS, Detector),
        beam=cast("Beam", values[BEAM]),
        people=cast("People", values.get(PEOPLE, People())),
        pv_groups=_by_stem(values, PVS, PvGroup),
        storage=cast("StorageSettings", values[DRIVES]).resolve(directory),
        epics=experiment.epics,
        mqtt=experiment.mqtt.resolve(directory),
        archive=experiment.archive,
        ingest=experiment.ingest,
        replicas=experiment.replicas,
        catalog=experiment.catalog,
        web=experiment.web.resolve(directory),
        vocabulary=cast("Vocabulary", values.get(FLAGS, Vocabulary())),
        selections=_by_stem(values, SELECTIONS, SelectionFile),
    )


def _by_stem(values: Mapping[str, BaseModel], pattern: str, model: type[ModelT]) -> Mapping[str, ModelT]:
    found = {Path(file).stem: value for file, value in sorted(values.items()) if kind_of(file) == pattern}
    return MappingProxyType({stem: value for stem, value in found.items() if isinstance(value, model)})
