"""The only files of ingest that touch the world."""
