"""The structs of a run's input, as agents see them."""

from typing import get_args

import pytest

from jumpseat.protocol.inputs import ContentPart, Message, TextPart, UserMessage


@pytest.mark.parametrize("kind", get_args(Message))
def test_a_message_class_tells_the_role_it_has_on_the_wire(kind: type) -> None:
    assert kind.role == kind.__struct_config__.tag


@pytest.mark.parametrize("kind", get_args(ContentPart))
def test_a_part_class_tells_the_type_it_has_on_the_wire(kind: type) -> None:
    assert kind.type == kind.__struct_config__.tag


def test_an_agent_can_ask_a_message_for_its_role_and_a_part_for_its_type() -> None:
    message = UserMessage(id="1", content=[TextPart(text="hi")])
    assert message.role == "user"
    assert message.content[0].type == "text"
