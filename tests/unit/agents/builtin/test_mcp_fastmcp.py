"""A client of FastMCP as a source of tools, in a Python of its own."""

import json
from pathlib import Path

from other_pythons import output_of, python_with

PROGRAM = Path(__file__).parent / "mcp_fastmcp_program.py"


async def test_a_client_of_fastmcp_is_used_and_left_open():
    seen = json.loads(await output_of(python_with("fastmcp", "fastmcp>=3"), str(PROGRAM)))
    assert seen["tools"] == {"weather": ["Weather of a city.", "object"], "fails": ["", "object"]}
    assert seen["weather"]["structuredContent"] == {"city": "Oslo", "sky": "blue"}
    assert seen["fails"]["isError"] is True
    assert seen["closed"] == ["error"]
    assert seen["open"] is True
