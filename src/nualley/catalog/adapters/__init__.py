"""The only files of catalog that speak SQL."""
