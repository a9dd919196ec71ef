"""Where exposure touches the world: the archive's tables, and pictures."""
