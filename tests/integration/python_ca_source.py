"""Our Channel Access source as it is on a machine that the compiled callbacks are not known for."""

from functools import partial

from nualley.pv.adapters.ca import CaSource
from nualley.pv.adapters.ca_python import python_callbacks

PythonCaSource = partial(CaSource, callbacks=python_callbacks())
