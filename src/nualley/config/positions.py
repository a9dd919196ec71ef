"""On which line each key of a TOML text stands (tomllib keeps no positions)."""

import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nualley.config.mistakes import KeyPath

if TYPE_CHECKING:  # loaded where a mistake was found, never for a repository without one
    from tree_sitter import Node


def _tree(text: str) -> "Node":
    # late: only a mistake needs lines
    import tree_sitter_toml  # noqa: PLC0415 - see above
    from tree_sitter import Language, Parser  # noqa: PLC0415 - see above

    return Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node


def first_broken_line(text: str) -> int | None:
    """Return the line on which the first part that is not TOML begins, from 1; None where all is TOML."""
    pending = [_tree(text)]
    while pending:
        node = pending.pop()
        if node.is_missing or (node.is_error and node.parent is not None):
            return _line(node)
        pending.extend(reversed(node.children))
    return None


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line of every key and list element.

    Parameters
    ----------
    text : str
        TOML.

    Returns
    -------
    dict of tuple to int
        Keys and indices from the top -> line, from 1.
    """
    return _Lines().read(_tree(text))


def _line(node: "Node") -> int:
    return int(node.start_point[0]) + 1


def _parts(key: "Node") -> Iterator[str]:
    if key.type == "dotted_key":
        for child in key.named_children:
            yield from _parts(child)
        return
    text = (key.text or b"").decode(errors="replace")
    yield next(iter(tomllib.loads(f"{text} = 0"))) if key.type == "quoted_key" else text


def _without_comments(node: "Node") -> list["Node"]:
    return [child for child in node.named_children if child.type != "comment"]


class _Lines:
    """Lines of keys, gathered while walking the tree."""

    def __init__(self) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._n_elements: dict[KeyPath, int] = {}

    def read(self, root: "Node") -> dict[KeyPath, int]:
        for node in root.children:
            self._statement(node, ())
        return self._lines

    def _statement(self, node: "Node", prefix: KeyPath) -> None:
        parts = _without_comments(node)
        if node.type == "pair" and len(parts) >= 2:
            for part in _parts(parts[0]):
                prefix = self._note((*prefix, part), node)
            self._value(parts[1], prefix)
        elif node.type in ("table", "table_array_element") and parts:
            table = self._header(node, parts[0])
            for child in parts[1:]:
                self._statement(child, table)

    def _header(self, node: "Node", key: "Node") -> KeyPath:
        *parents, last = _parts(key)
        path: KeyPath = ()
        for part in parents:
            path = self._note((*path, part), node)
            if path in self._n_elements:  # [[a]] [a.b]: b belongs to the last a
                path = (*path, self._n_elements[path] - 1)
        path = self._note((*path, last), node)
        if node.type == "table":
            return path
        index = self._n_elements.setdefault(path, 0)
        self._n_elements[path] += 1
        return self._note((*path, index), node)

    def _value(self, node: "Node", path: KeyPath) -> None:
        if node.type == "inline_table":
            for child in node.named_children:
                self._statement(child, path)
        elif node.type == "array":
            for index, child in enumerate(_without_comments(node)):
                self._value(child, self._note((*path, index), child))

    def _note(self, path: KeyPath, node: "Node") -> KeyPath:
        self._lines.setdefault(path, _line(node))
        return path
