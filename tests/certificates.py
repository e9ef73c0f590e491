"""Certificates of the tests' own, made with openssl, which PostgreSQL's packages bring along."""

from __future__ import annotations

import subprocess
from pathlib import Path

SECONDS = 30


def make_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Write a key and a certificate that signs itself, for ``DNS:`` and ``IP:`` names; it is its own root."""
    key, certificate = folder / "server.key", folder / "server.crt"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=jumpseat tests", "-addext", f"subjectAltName={','.join(names)}",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, timeout=SECONDS, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return key, certificate
