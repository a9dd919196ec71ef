"""pyarrow without pandas, which it looks for once, and loads where it is installed: 0.25 s and 35 MB a process."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader  # slow to load, for a base class without a word of code


def keep_pandas_out() -> None:
    """Let pyarrow look for pandas where it finds none: now, or as soon as it is loaded.

    Whoever imports pandas gets it all the same, and so does pyarrow's ``to_pandas``.
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is None:
        sys.meta_path.insert(0, _ArrowFinder())
    else:
        _ask(arrow)


def _ask(arrow: ModuleType) -> None:
    """Make an array of a list, which is when pyarrow looks for pandas."""
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        arrow.array([])
    finally:
        sys.meta_path.remove(refusal)


class _Refusal:
    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pyarrow is to do without pandas", name=name)


class _ArrowFinder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "pyarrow":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _ArrowLoader(spec.loader))
        return spec


class _ArrowLoader:
    """Loads pyarrow as its own loader does, and then asks."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _ask(module)
