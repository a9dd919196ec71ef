"""From the DAQ's disk to verified replicas and a record in the catalog."""

from nualley.ingest.settings import IngestSettings

__all__ = ["IngestSettings"]
