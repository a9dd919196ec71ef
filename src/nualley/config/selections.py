"""What selections say of the rest of the repository: flags, detectors and PVs that must stand elsewhere."""

from collections.abc import Iterator

from nualley.config.files import DETECTORS, FLAGS, PVS, SELECTIONS, Repository, Use
from nualley.config.mistakes import Mistake
from nualley.core import nearest
from nualley.selection import ExpressionError, Node, operands, parse_expression, texts, words


def check_selections(repository: Repository) -> Iterator[Mistake]:
    """Check what the expressions of selections name.

    Parameters
    ----------
    repository : Repository
        All files that could be read.

    Yields
    ------
    Mistake
        At the expression.
    """
    vocabularies = repository.of(FLAGS).values()
    flags = [str(path[-1]) for document in vocabularies for path, _ in document.find(("flag", "*"))]
    groups = repository.of(PVS).values()
    pvs = [str(path[-1]) for document in groups for path, _ in document.find(("pv", "*"))]
    is_partial = any(document.is_partial for document in (*vocabularies, *groups))
    for use, node in _expressions(repository):
        yield from _among(use, texts(node, "detector"), list(repository.of(DETECTORS)), "a detector")
        if not is_partial:  # the word may stand on a line that could not be read
            yield from _among(use, words(node, "flag"), flags, f"a flag that {FLAGS} describes")
            yield from _among(use, operands(node, "pv"), pvs, "a PV that a file in pvs/ archives")


def _expressions(repository: Repository) -> Iterator[tuple[Use, Node]]:
    for use in repository.uses(SELECTIONS, ("expression",)):
        try:
            yield use, parse_expression(use.name)
        except ExpressionError:
            continue  # its own file tells


def _among(use: Use, named: list[str], known: list[str], expected: str) -> Iterator[Mistake]:
    for name in named:
        if name not in known:
            found = Use(use.document, use.path, name)
            yield found.mistake(expected, nearest(name, known))
