"""The status page of an experiment in a process of its own, at a free port: ``-m tests.web.server_child DIR``."""

import os
import signal
import socket
import sys
from pathlib import Path

from nualley.app.site import open_site
from nualley.app.stopping import run_until_stopped
from nualley.core import end_with_parent
from nualley.testing.processes import say
from nualley.web import serve_until


def main() -> None:
    end_with_parent(signal.SIGKILL, os.environ)
    if "NUALLEY_WEB__PORT" not in os.environ:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            os.environ["NUALLEY_WEB__PORT"] = str(holder.getsockname()[1])
    site = open_site(Path(sys.argv[1]), os.environ)
    run_until_stopped(lambda stop: serve_until(site, stop, on_ready=lambda url: say({"url": url})))


if __name__ == "__main__":
    main()
