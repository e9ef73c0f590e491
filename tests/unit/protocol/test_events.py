"""The event structs, as agents and tests see them."""

from typing import get_args

import pytest

from jumpseat import TextMessageContent
from jumpseat.protocol.codec import to_wire
from jumpseat.protocol.events import Event


@pytest.mark.parametrize("kind", get_args(Event))
def test_no_event_has_a_field_that_hides_its_type(kind: type) -> None:
    assert "type" not in kind.__struct_fields__


def test_an_event_tells_the_type_it_has_on_the_wire() -> None:
    event = TextMessageContent(message_id="1", delta="Hello")
    assert event.type == "TEXT_MESSAGE_CONTENT" == to_wire(event)["type"]
