"""What selections say of the rest of the repository: flags, detectors, types and PVs that must stand elsewhere."""

from collections.abc import Iterator

from nualley.config.files import DETECTORS, FLAGS, PVS, SELECTIONS, Repository, Use
from nualley.config.mistakes import Mistake
from nualley.selection import DescribedNames, ExpressionError, Node, parse_expression, unknown_names


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
    vocabularies, groups = repository.of(FLAGS).values(), repository.of(PVS).values()
    is_partial = any(document.is_partial for document in (*vocabularies, *groups))
    described = DescribedNames(
        detectors=list(repository.of(DETECTORS)),
        # the word may stand on a line that could not be read
        flags=None
        if is_partial
        else [str(path[-1]) for document in vocabularies for path, _ in document.find(("flag", "*"))],
        pvs=None if is_partial else [use.name for use in repository.archived()],
    )
    for use, node in _expressions(repository):
        for found in unknown_names(node, described):
            yield Use(use.document, use.path, found.name).mistake(found.expected, found.nearest)


def _expressions(repository: Repository) -> Iterator[tuple[Use, Node]]:
    for use in repository.uses(SELECTIONS, ("expression",)):
        try:
            yield use, parse_expression(use.name)
        except ExpressionError:
            continue  # its own file tells
