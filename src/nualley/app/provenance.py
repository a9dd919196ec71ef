"""What the experiment repository said when something was done; imports next to nothing, for quick commands."""

import xxhash

from nualley.app.site import Site
from nualley.config import KINDS


def configuration_digest(site: Site) -> str:
    """Return the xxh3_128 of the experiment repository's TOML files, by name."""
    digest = xxhash.xxh3_128()
    directory = site.configuration.directory
    for path in sorted(path for pattern in KINDS for path in directory.glob(pattern)):
        digest.update(f"{path.relative_to(directory)}\0".encode(errors="surrogateescape"))
        digest.update(path.read_bytes())
    return digest.hexdigest()
