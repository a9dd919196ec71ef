"""A backup becomes the catalog only where nobody relies on the one that is there."""

import pytest

from nualley.app.backup import backup_catalog, restore_catalog
from nualley.app.errors import RoleTakenError
from nualley.app.locks import hold_role
from nualley.app.site import Site
from nualley.config import load, write_template


def test_nothing_is_restored_under_a_running_worker(tmp_path):
    write_template(tmp_path / "experiment")
    site = Site(load(tmp_path / "experiment", {}))
    site.catalog().close()
    backup_catalog(site, tmp_path / "backup.sqlite")
    with (
        hold_role(site.configuration.store, "worker"),
        pytest.raises(RoleTakenError, match="the worker runs as") as told,
    ):
        restore_catalog(site, tmp_path / "backup.sqlite", replace=True)
    assert "stop it" in told.value.do
    restore_catalog(site, tmp_path / "backup.sqlite", replace=True)
