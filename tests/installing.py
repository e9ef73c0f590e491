"""Installing what tests need once, although several test processes may find it missing."""

import fcntl
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other test processes from installing into this folder; whoever comes second finds it done."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    # The lock goes with its process, and every installation has a limit of its own.
    with (Path(tempfile.gettempdir()) / f"jumpseat-installing-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
