import time
from typing import Any

import pytest

from jumpseat.agents.builtin.failures import (
    FAILURE_CODES,
    AgentFailure,
    developer_failure,
    http_status,
    provider_failure,
    shown_failure,
)
from jumpseat.agents.builtin.redaction import Redactor


def raised_as(name: str, *bases: type[BaseException], message: str = "", **attributes: Any) -> BaseException:
    """An exception of a library that is not installed here."""
    error = type(name, bases or (Exception,), {})(message)
    for attribute, value in attributes.items():
        setattr(error, attribute, value)
    return error


def caused_by(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (TimeoutError("too slow"), "timeout", "too slow"),
        (TimeoutError(), "timeout", "The model provider did not answer in time."),
        (ConnectionResetError("reset by peer"), "provider_error", "reset by peer"),
        (
            raised_as("ReadTimeout", type("TimeoutException", (Exception,), {}), message="slow"),
            "timeout",
            "slow",
        ),
        (raised_as("APITimeoutError", message="Request timed out."), "timeout", "Request timed out."),
        (raised_as("RateLimitError", message="Slow."), "rate_limit", "Slow."),
        (raised_as("ContentFilterError", message="Refused."), "content_filter", "Refused."),
        (raised_as("ContextOverflowError", message="Long."), "context_length", "Long."),
        (raised_as("UserError", message="Set the `X_API_KEY` variable"), "authentication_error", None),
        (raised_as("UserError", message="No such setting"), "invalid_request", "No such setting"),
        (
            raised_as("OpenAIError", message="The api_key client option must be set"),
            "authentication_error",
            None,
        ),
        (raised_as("X", status_code=402, message="Pay."), "rate_limit", "Pay."),
        (raised_as("X", status_code=529, message="Full."), "provider_error", "Full."),
        (raised_as("X", status_code=422, message="Odd."), "invalid_request", "Odd."),
        (
            raised_as(
                "X", status_code=429, body={"error": {"code": "insufficient_quota", "message": "Pay."}}
            ),
            "rate_limit",
            "Pay.",
        ),
        (
            raised_as("X", status_code=400, body=b'[{"error": {"message": "API key not valid."}}]'),
            "authentication_error",
            "API key not valid.",
        ),
        (
            raised_as("X", status_code=400, body={"error": {"code": "content_filter", "message": "No."}}),
            "content_filter",
            "No.",
        ),
        (raised_as("X", status_code=400, body={"error": "just text"}), "invalid_request", "just text"),
        (
            caused_by(ValueError("wrapped"), raised_as("Y", status_code=403)),
            "authentication_error",
            "wrapped",
        ),
        (
            ExceptionGroup("two", [raised_as("RateLimitError", message="Slow.")]),
            "rate_limit",
            "Slow.",
        ),
        (RuntimeError(), "provider_error", "The model provider failed."),
        (ValueError("Unknown media type: audio/x"), "invalid_request", "Unknown media type: audio/x"),
        (RuntimeError("Video is not supported in this region"), "provider_error", None),
    ],
)
def test_an_exception_of_a_provider_has_a_code_and_its_text(
    error: BaseException, code: str, message: str | None
):
    failed = provider_failure(error)
    assert failed.code == code
    assert failed.code in FAILURE_CODES
    assert failed.message == (str(error) if message is None else message)


@pytest.mark.parametrize(
    "dump",
    [
        "status_code: 500, model_name: m, body: {'error': {'secret': 1}}",
        "Error code: 500 - {'error': {'secret': 1}}",
        "500 INTERNAL. {'error': {'secret': 1}}",
        "<html><body>secret</body></html>",
        "Server error '500' for url 'http://x/?secret=1'",
    ],
)
def test_a_dump_is_replaced_by_a_sentence(dump: str):
    failed = provider_failure(raised_as("X", status_code=500, message=dump))
    assert failed.message == "The model provider failed (HTTP 500)."


def test_the_message_is_one_short_paragraph_without_queries_and_traces():
    text = "First line.\n\n  See https://x.test/path?token=abc#f for\tit.\nTraceback (most recent call last):"
    assert provider_failure(ValueError(text)).message == "First line. See https://x.test/path for it."
    assert developer_failure(ValueError(text)).message == "First line. See https://x.test/path for it."


def test_what_a_client_is_shown_is_short_and_holds_no_part_of_a_secret():
    code, message = shown_failure(provider_failure(ValueError("x" * 5_000)), str)
    assert (code, len(message), message[-1]) == ("provider_error", 2_000, "…")
    secret = "the-key-of-somebody"
    text = "x" * 1_990 + secret
    _, message = shown_failure(developer_failure(ValueError(text)), Redactor([secret]))
    assert message == "x" * 1_990 + "[redacted]"
    _, message = shown_failure(developer_failure(ValueError("y" + text)), Redactor([secret]))
    assert "the-" not in message


PIECES = ["a.", "a://", "http://x?", "x ", "api_key ", "Bearer ", "sk-", "<html", "set the "]


@pytest.mark.parametrize("piece", PIECES)
def test_a_text_of_any_length_costs_little(piece: str):
    error = ValueError(piece * 50_000)
    began = time.process_time()
    for failure in (provider_failure(error), developer_failure(error)):
        shown_failure(failure, Redactor(["a-key-of-somebody"]))
    assert time.process_time() - began < 2


def test_a_failure_without_a_code_or_with_a_long_text_is_shown_all_the_same():
    assert shown_failure(AgentFailure("", "no\nway"), str) == ("agent_error", "no way")
    odd: Any = None
    assert shown_failure(AgentFailure(odd, odd), str) == ("agent_error", "None")


def test_an_exception_that_cannot_say_what_it_is_still_has_a_name():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("mute")

    assert developer_failure(Mute()).message == "Mute"
    assert provider_failure(Mute()).message == "The model provider failed."


def test_an_exception_of_the_developer_is_an_agent_error_whatever_it_is():
    assert developer_failure(TimeoutError("mine")).code == "agent_error"
    assert developer_failure(KeyError()).message == "KeyError"
    assert developer_failure(raised_as("X", status_code=401, message="no")).code == "agent_error"


def test_a_failure_stays_what_it_is():
    failure = AgentFailure("mcp_error", "gone")
    assert provider_failure(failure) is failure
    assert developer_failure(failure) is failure
    assert (failure.code, failure.message, str(failure)) == ("mcp_error", "gone", "gone")


def test_an_exception_that_causes_itself_is_survived():
    error = ValueError("round")
    error.__cause__ = error
    assert provider_failure(error).message == "round"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (raised_as("X", status_code=404), 404),
        (raised_as("X", code=503), 503),
        (raised_as("X", code="503"), None),
        (raised_as("X", status_code=True), None),
        (raised_as("X", response=type("R", (), {"status_code": 418})()), 418),
        (caused_by(ValueError(), raised_as("X", status=500)), 500),
        (raised_as("X", status_code=200), None),
    ],
)
def test_the_status_is_found_on_the_exception_its_response_or_its_cause(
    error: BaseException, status: int | None
):
    assert http_status(error) == status
