"""Turns at devices by locks of files: they hold over all processes of a store, and die with the one that has them."""

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nualley.core import try_lock
from nualley.replicas.errors import TransferRunning

_TRY_EACH_S = 0.1


class LockedTurns:
    """`replicas.ports.Turns` by ``flock``.

    Parameters
    ----------
    folder : Path
        Where the locks are: ``run`` of the store; made where missing.
    n_streams : int
        Turns that a device has at the same time, >= 1.
    sleep : callable, optional
        Waits [s].
    """

    def __init__(self, folder: Path, n_streams: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._folder = folder
        self._n_streams = n_streams
        self._sleep = sleep

    @contextmanager
    def at(self, devices: Collection[int | str], waits: Callable[[], object]) -> Iterator[None]:
        """Wait for a turn at each device, in one order for all: nobody waits for one who waits for him.

        Parameters
        ----------
        devices : collection of int or str
            Their numbers; of a remote its name.
        waits : callable
            Called again and again meanwhile; what it raises ends the waiting.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            for device in sorted(set(devices), key=str):
                while (descriptor := self._try(device)) is None:
                    waits()
                    self._sleep(_TRY_EACH_S)
                held.callback(os.close, descriptor)
            yield

    def _try(self, device: int | str) -> int | None:
        for number in range(self._n_streams):
            descriptor = try_lock(self._folder / f"copy-{device}-{number}.lock")
            if descriptor is not None:
                return descriptor
        return None

    @contextmanager
    def at_transfer(self, transfer_id: int) -> Iterator[None]:
        """Work on a transfer alone.

        Raises
        ------
        TransferRunning
            Where another process works on it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = try_lock(self._folder / f"transfer-{transfer_id}.lock")
        if descriptor is None:
            raise TransferRunning(
                f"another process works on transfer {transfer_id}",
                where=f"transfer {transfer_id}",
                do="wait for it, or stop it with Ctrl-C; 'nualley transfer list' shows how far it is",
            )
        try:
            yield
        finally:
            os.close(descriptor)
