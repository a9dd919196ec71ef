"""nualley: from the beam pulse to the published number, an account of every byte and every proton."""

__version__ = "0.1.0"
