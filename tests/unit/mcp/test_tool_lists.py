"""Lists of tools that are kept for a while."""

from jumpseat.mcp import MCPServer
from jumpseat.mcp.tool_lists import ToolLists, server_key

SERVER = MCPServer(type="http", url="http://x/mcp")
KEY = server_key(SERVER, {"a": "1"})
TOOLS = [{"name": "a"}]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lists(most: int = 10) -> tuple[ToolLists, Clock]:
    clock = Clock()
    return ToolLists(most, clock), clock


def test_a_list_is_there_until_it_is_too_old():
    kept, clock = lists()
    kept.put(KEY, TOOLS, began=kept.now())
    clock.now = 59.9
    assert kept.get(KEY, 60) == TOOLS
    clock.now = 60
    assert kept.get(KEY, 60) is None
    assert kept.get(KEY, 0) is None


def test_other_credentials_other_list_and_no_credential_in_the_key():
    assert len({server_key(SERVER, {"a": value}) for value in ("secret", "other")}) == 2
    assert "secret" not in repr(server_key(SERVER, {"a": "secret"}))
    assert server_key(SERVER, {"a": "1", "b": "2"}) == server_key(SERVER, {"b": "2", "a": "1"})


def test_a_list_that_was_on_its_way_when_it_was_found_wrong_is_not_kept():
    kept, clock = lists()
    began = kept.now()
    clock.now = 1
    kept.drop(KEY)
    kept.put(KEY, TOOLS, began=began)
    assert kept.get(KEY, 60) is None
    clock.now = 2
    kept.put(KEY, TOOLS, began=kept.now())
    assert kept.get(KEY, 60) == TOOLS


def test_the_least_used_list_goes_when_there_are_too_many():
    kept, _ = lists(most=2)
    first, second, third = (server_key(SERVER, {"a": str(n)}) for n in range(3))
    kept.put(first, TOOLS, began=0)
    kept.put(second, TOOLS, began=0)
    kept.get(first, 60)
    kept.put(third, TOOLS, began=0)
    assert [kept.get(key, 60) is not None for key in (first, second, third)] == [True, False, True]
