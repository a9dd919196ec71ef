"""pyarrow does without pandas, and nobody else has to."""

import subprocess
import sys

import pytest

BEFORE = "keep_pandas_out(); import pyarrow as pa"
AFTER = "import pyarrow as pa; keep_pandas_out()"
ASKED = "print('pandas' in sys.modules, pa.array([1, 2]).to_pylist(), 'pandas' in sys.modules)"


def said(*lines: str) -> str:
    program = "\n".join(["import sys", "from nualley.core import keep_pandas_out", *lines])
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_where_pandas_is_installed_pyarrow_loads_it() -> None:
    assert said("import pyarrow as pa", ASKED) == "False [1, 2] True\n", "nothing has to be kept out any more"


@pytest.mark.parametrize("order", [BEFORE, AFTER], ids=["before", "after"])
def test_pyarrow_looks_for_pandas_in_vain(order: str) -> None:
    assert said(order, ASKED) == "False [1, 2] False\n"


@pytest.mark.parametrize("order", [BEFORE, AFTER], ids=["before", "after"])
def test_who_asks_for_pandas_gets_it(order: str) -> None:
    assert said(order, "import pandas", "print(len(pandas.DataFrame({'a': [1, 2]})))") == "2\n"
    assert said(order, "print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum())") == "3\n"


def test_nothing_of_it_stays_in_the_way() -> None:
    left = "[finder for finder in sys.meta_path if 'nualley' in type(finder).__module__]"
    loaded = "type(pa.__loader__).__name__, pa.__spec__.loader is pa.__loader__"
    for order in (BEFORE, AFTER):
        assert said(order, f"print({left}, {loaded})") == "[] SourceFileLoader True\n"
