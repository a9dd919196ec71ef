"""An IOC whose scalars count up by one at each update, so that a reader can prove that none is missing.

``python -m benchmarks.counter_ioc N_FAST N_SLOW N_WAVES``: fast ones at 10 Hz and slow ones at 1 Hz, both processed in
C; waveforms of 2000 float32 at 60 Hz, whose first element counts. Says ``ready`` on stdout, ends with its stdin.
"""

import asyncio
import os
import sys
import time

import numpy as np
from softioc import asyncio_dispatcher, builder, softioc

PREFIX = "BENCH"
WAVE_HZ = 60.0
WAVE_POINTS = 2000


def main() -> None:
    """Serve until stdin ends."""
    n_fast, n_slow, n_waves = map(int, sys.argv[1:4])
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName(PREFIX)
    for number in range(n_fast + n_slow):
        scan = ".1 second" if number < n_fast else "1 second"
        builder.records.calc(f"C{number}", SCAN=scan, CALC="A+1", INPA=f"{PREFIX}:C{number}.VAL", EGU="n")
    waves = [builder.WaveformIn(f"W{number}", length=WAVE_POINTS, datatype=np.float32) for number in range(n_waves)]
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    if waves:
        dispatcher(lambda: _wave_for_ever(waves))
    os.write(1, b"ready\n")
    sys.stdin.read()
    os._exit(0)


async def _wave_for_ever(waves: list[builder.WaveformIn]) -> None:
    shape = np.exp(-0.5 * ((np.arange(WAVE_POINTS) - 1000) / 160) ** 2).astype(np.float32)
    number, next_s = 0, time.monotonic()
    while True:
        pulse = shape * (1 + 0.001 * (number % 100))
        pulse[0] = number
        for wave in waves:
            wave.set(pulse)
        number += 1
        next_s += 1 / WAVE_HZ
        await asyncio.sleep(max(0.0, next_s - time.monotonic()))


if __name__ == "__main__":
    main()
