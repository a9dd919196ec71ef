"""One of our own processes, begun quickly: ``python -m nualley.core.child MODULE WORDS``."""

import gc
import sys
from importlib import import_module

from nualley.core.arrow import keep_pandas_out


def main() -> int:
    """Load a module, and call its ``main``, which finds the words in ``sys.argv``.

    Returns
    -------
    int
        What it returns; 0 for None.

    Notes
    -----
    What is loaded stays: nobody looks through it for garbage, which takes a quarter of the time of loading, and as much
    again at the end. Python looks for garbage only in what it does while ``main`` runs.
    """
    gc.disable()
    keep_pandas_out()
    del sys.argv[0]
    module = import_module(sys.argv[0])
    gc.freeze()
    gc.enable()
    try:
        return int(module.main() or 0)
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
