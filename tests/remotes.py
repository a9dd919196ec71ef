"""Remotes of every kind for tests, over real servers on loopback, with their files in folders that a test can touch."""

import contextlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nualley.replicas import RemoteFiles
from nualley.replicas.adapters.rclone import RcloneRemote
from nualley.replicas.adapters.rclone_daemon import RcloneDaemon
from nualley.replicas.adapters.xrootd import XrootdRemote
from nualley.testing.remotes import FolderRemote, Server, find_xrootd, rclone_section, serve, xrootd_server

RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
KINDS = ("folder", "local", "sftp", "webdav", "s3", "xrootd")


@dataclass
class There:
    """A remote of a kind, the folder in which its files lie, and its server."""

    kind: str
    remote: RemoteFiles
    folder: Path
    server: Server | None = None
    daemon: RcloneDaemon | None = None


@contextlib.contextmanager
def remote_of(kind: str, folder: Path) -> Iterator[There]:
    """Have a remote ``nas`` of a kind, with its files below ``folder``."""
    there = folder / "bucket"
    there.mkdir(parents=True)
    if kind == "folder":
        yield There(kind, FolderRemote("nas", there), there)
    elif kind == "xrootd":
        program = find_xrootd()
        if program is None:
            reason = "XRootD's server is not installed: sudo apt-get install xrootd-server"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        with xrootd_server(program) as (server, data):
            yield There(kind, XrootdRemote("nas", f"root://127.0.0.1:{server.port}//data"), data, server)
    else:
        with rclone_of(kind, folder) as found:
            yield found


@contextlib.contextmanager
def rclone_of(kind: str, folder: Path, *, is_known: bool = True) -> Iterator[There]:
    """Have a remote through rclone; ``local`` is rclone's own view of a folder, where it reckons checksums itself."""
    config = folder.with_name(f"{folder.name}.conf")
    server = None
    if kind == "local":
        config.write_text("[there]\ntype = local\n")
        address = f"there:{folder / 'bucket'}"
    else:
        server = serve(RCLONE, kind, folder)
        server.start()
        config.write_text(rclone_section(RCLONE, kind, server.port, is_known=is_known))
        address = "there:bucket"
    daemon = RcloneDaemon(lambda: RCLONE, config)
    try:
        yield There(kind, RcloneRemote("nas", address, daemon), folder / "bucket", server, daemon)
    finally:
        daemon.close()
        if server is not None:
            server.kill()
