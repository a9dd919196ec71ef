"""The archive's files: log segments, Parquet, the index."""
