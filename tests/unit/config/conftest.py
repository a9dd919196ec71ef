"""A small repository to break."""

from pathlib import Path

import pytest

from nualley.config import Mistake, check, write_template

FORMATS = ("cohar750-hdf5", "wavedump")


class Broken:
    """A repository from the template, edited by a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        write_template(directory)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.directory / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        (self.directory / file).write_text(text, encoding="utf-8")

    def append(self, file: str, text: str) -> None:
        with (self.directory / file).open("a", encoding="utf-8") as stream:
            stream.write(text)

    def line(self, file: str, words: str) -> int:
        lines = (self.directory / file).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if words in line)

    def check(self, **environ: str) -> list[Mistake]:
        return check(self.directory, environ, FORMATS)

    def only(self, **environ: str) -> Mistake:
        mistakes = self.check(**environ)
        assert len(mistakes) == 1, "\n".join(map(str, mistakes))
        return mistakes[0]


@pytest.fixture
def repository(tmp_path: Path) -> Broken:
    return Broken(tmp_path / "experiment")
