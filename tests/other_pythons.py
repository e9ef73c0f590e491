"""Pythons that have packages which this one cannot have, each installed once and kept."""

import asyncio
import os
import subprocess
import venv
from contextlib import asynccontextmanager
from pathlib import Path

from installing import alone

ROOT = Path(__file__).parents[1]
INSTALL_SECONDS = 600


def python_with(name: str, *packages: str) -> Path:
    """Return the interpreter of an environment that has these packages, besides what our core needs."""
    folder = ROOT / ".venvs" / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "installed"
    wanted = [*packages, "msgspec>=0.19,<1", "httpx2>=2.10,<3", "starlette>=0.46,<2"]
    with alone(folder):
        if not done.exists() or done.read_text() != "\n".join(wanted):
            venv.create(folder, with_pip=True, clear=True)
            install = [str(python), "-m", "pip", "install", "--quiet", *wanted]
            subprocess.run(install, check=True, timeout=INSTALL_SECONDS)
            done.write_text("\n".join(wanted))
    return python


@asynccontextmanager
async def program(python: Path, *arguments: str):
    """Run a program that imports our source; it is killed when the block is left."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def output_of(python: Path, *arguments: str, seconds: float = 60.0) -> str:
    """Return what a program prints; one that fails fails the test."""
    async with program(python, *arguments) as process:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    assert process.returncode == 0, errors.decode()
    return output.decode()
