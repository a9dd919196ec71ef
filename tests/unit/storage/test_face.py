"""The face of storage is light."""

import subprocess
import sys

HEAVY = ("sqlalchemy", "alembic", "pyarrow", "numpy", "h5py", "rich", "cyclopts")


def test_importing_storage_and_catalog_imports_no_heavy_library() -> None:
    code = f"import nualley.storage, nualley.catalog, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
