"""A bare aioca receiver, the peer of the ingest benchmark: it appends each update to a list and keeps nothing.

``python -m benchmarks.aioca_receiver N_PVS SECONDS WARM_S`` prints one line of JSON.
"""

import asyncio
import json
import os
import sys
import time

import aioca

from benchmarks.counter_ioc import PREFIX


async def main() -> None:
    """Listen, count, and say what it cost."""
    n_pvs, seconds, warm_s = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    names = [f"{PREFIX}:C{number}" for number in range(n_pvs)]
    got: list[object] = []
    n_taken = 0
    monitors = aioca.camonitor(
        names, lambda value, _: got.append(value), format=aioca.FORMAT_TIME, all_updates=True, notify_disconnect=True
    )

    async def take() -> None:
        nonlocal n_taken
        while True:
            await asyncio.sleep(0.025)
            n_taken += len(got)
            got.clear()

    taking = asyncio.create_task(take())
    await asyncio.sleep(warm_s)
    began_s, cpu_s, n_before = time.monotonic(), time.process_time(), n_taken
    await asyncio.sleep(seconds)
    wall_s, cpu_s, n_updates = time.monotonic() - began_s, time.process_time() - cpu_s, n_taken - n_before
    taking.cancel()
    dropped = sum(monitor.dropped_callbacks for monitor in monitors)
    print(
        json.dumps(
            {
                "rate_Hz": n_updates / wall_s,
                "cpu_us": 1e6 * cpu_s / max(n_updates, 1),
                "cpu": cpu_s / wall_s,
                "dropped": dropped,
            }
        ),
        flush=True,
    )
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
