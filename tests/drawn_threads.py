"""Messages as hypothesis draws them: of every kind, sound or not, with ids that meet."""

from hypothesis import strategies as st

from jumpseat.agents.builtin.reasoning import encrypted_value
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    BinaryPart,
    DeveloperMessage,
    DocumentPart,
    FunctionCall,
    ImagePart,
    PartSource,
    ReasoningMessage,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

IDS = st.sampled_from(["", "a", "b", "c", "\ud800"])
TEXTS = st.sampled_from(["", "x", "ü\ud800"])
ENCRYPTED = st.sampled_from([None, "x", encrypted_value("p", "s"), encrypted_value("p", "s", "i")])
SOURCES = st.builds(
    PartSource,
    type=st.sampled_from(["data", "url", "file"]),
    value=st.sampled_from(["aGk=", "https://a.example/", "data:,x", "file:///x", "//", "http://["]),
    mime_type=st.sampled_from([None, "image/png"]),
)


def messages(ids, texts):
    """Messages with these ids and texts."""
    parts = (
        st.builds(TextPart, text=texts)
        | st.builds(ImagePart, source=SOURCES, metadata=st.sampled_from([None, {"filename": 1}, []]))
        | st.builds(DocumentPart, source=SOURCES)
        | st.builds(BinaryPart, mime_type=texts, data=st.sampled_from([None, "aGk="]), url=texts)
    )
    calls = st.builds(
        ToolCall,
        id=ids,
        function=st.builds(
            FunctionCall,
            name=texts,
            arguments=st.sampled_from(["", "{}", '{"a":1}', '{"a":1', "[]", '{"a":"\\ud800"}', "[" * 5_000]),
        ),
        encrypted_value=ENCRYPTED,
    )
    return (
        st.builds(UserMessage, id=ids, content=st.none() | texts | st.lists(parts, max_size=3))
        | st.builds(
            AssistantMessage,
            id=ids,
            content=st.none() | texts,
            tool_calls=st.none() | st.lists(calls, max_size=4),
        )
        | st.builds(ToolMessage, id=ids, tool_call_id=ids, content=texts | st.lists(parts, max_size=2))
        | st.builds(ReasoningMessage, id=ids, content=texts, encrypted_value=ENCRYPTED)
        | st.builds(ActivityMessage, id=ids, activity_type=texts, content=st.just({}))
        | st.builds(SystemMessage, id=ids, content=texts)
        | st.builds(DeveloperMessage, id=ids, content=texts)
    )


MESSAGES = messages(IDS, TEXTS)
SENDABLE_MESSAGES = messages(st.sampled_from(["", "a", "b", "c.d", "c:d"]), st.sampled_from(["", " ", "ü"]))
