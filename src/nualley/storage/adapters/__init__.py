"""The only files of storage that touch the world."""
