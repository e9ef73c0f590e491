import time

import pytest

from jumpseat.agents.builtin.redaction import Redactor


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Incorrect API key provided: sk-abc.", "Incorrect API key provided: [redacted]."),
        ("sk-proj-ab_c-12***xyz, really", "[redacted], really"),
        ("key AIzaSyA-1_b here", "key [redacted] here"),
        ("Authorization: Bearer eyJhbGciOi.J9-x", "Authorization: [redacted]"),
        ("GET /x?api_key=abc&y=1", "GET /x?api_key=[redacted]&y=1"),
        ("OPENAI_API_KEY=abc;", "OPENAI_API_KEY=[redacted];"),
        ("apikey: 'abc'", "apikey: '[redacted]'"),
        ('{"x-api-key": "abc", "b": 1}', '{"x-api-key": "[redacted]", "b": 1}'),
    ],
)
def test_what_looks_like_a_key_is_taken_out(text: str, redacted: str):
    assert Redactor(())(text) == redacted


@pytest.mark.parametrize(
    "text",
    ["", "risk-free task-force", "the bearer of bad news", "api_key: required", "monkey = banana", "ask-me"],
)
def test_ordinary_words_stay(text: str):
    assert Redactor(["abc", ""])(text) is text


def test_known_secrets_are_taken_out_in_every_form_the_longest_first():
    redact = Redactor(
        ["secret-1", "secret-1-longer", "Bearer token-of-user", "Basic dXNlcg==", "  padded-secret "]
    )
    text = "secret-1-longer secret-1 token-of-user dXNlcg== padded-secret"
    assert redact(text) == " ".join(["[redacted]"] * 5)
    assert redact.secrets[0] == "secret-1"


def test_a_secret_that_is_a_common_piece_of_text_tears_no_holes():
    assert Redactor(["a", "on", "yes"])("yes, on a day") == "yes, on a day"


def test_a_large_text_costs_little():
    text = "nothing to see here, " * 200_000
    redact = Redactor(["sk-some-secret-key", "another-secret"])
    started = time.perf_counter()
    assert redact(text) == text
    assert time.perf_counter() - started < 0.5
