"""Trees of files, and turns at devices, on this machine."""
