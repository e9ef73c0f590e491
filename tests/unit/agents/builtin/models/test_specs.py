import importlib.util
import subprocess
import sys

import pytest

from jumpseat.agents.builtin.failures import AgentFailure
from jumpseat.agents.builtin.models.resolving import configured_model, resolve_model
from jumpseat.agents.builtin.models.specs import parse_spec
from jumpseat.errors import ConfigurationError, MissingDependencyError, ModelSpecError

USE = 'Use "openai/gpt-5", "anthropic/claude-sonnet-4.5", or "google/gemini-2.5-pro".'


@pytest.mark.parametrize("spec", ["gpt-4o", "/x", "openai/", "openai: ", "", " /x"])
def test_a_string_without_provider_or_model_is_refused_with_examples(spec: str):
    for make in (configured_model, resolve_model):
        with pytest.raises(ModelSpecError) as refused:
            make(spec)
        assert str(refused.value) == f'Invalid model string "{spec}". {USE}'
    assert isinstance(refused.value, ConfigurationError | ValueError)


@pytest.mark.parametrize(
    "spec", ["foo/bar", "utils/x", "voyageai/x", "gateway:x", "openai_compatible/x", "../x:y"]
)
def test_an_unknown_provider_is_refused_with_the_known_ones(spec: str):
    provider = min(spec.partition("/")[0], spec.partition(":")[0], key=len)
    with pytest.raises(ModelSpecError) as refused:
        configured_model(spec)
    start = f'Unknown provider "{provider}" in "{spec}". Supported: openai, anthropic, google (gemini)'
    assert str(refused.value).startswith(start)
    for name in ("openai-chat", "vertex", "minimax", "groq", "openrouter"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "provider", "api", "model"),
    [
        ("openai:gpt-4o", "openai", "responses", "gpt-4o"),
        ("openai-chat/gpt-4o", "openai", "chat", "gpt-4o"),
        (" OpenAI /gpt-4o", "openai", "responses", "gpt-4o"),
        ("Gemini/x", "google", "google", "x"),
        ("google-gemini/x", "google", "google", "x"),
        ("openai:ft:gpt-4o:org::id", "openai", "responses", "ft:gpt-4o:org::id"),
        ("openrouter/openai/gpt-5", "openrouter", "other", "openai/gpt-5"),
        ("vertex/gemini-2.5-pro", "vertex", "vertex", "gemini-2.5-pro"),
        ("minimax/MiniMax-M2", "minimax", "chat", "MiniMax-M2"),
        # Not on Jumpseat's own list: an installed pydantic-ai knows it.
        ("zai/glm-5", "zai", "other", "glm-5"),
    ],
)
def test_a_spec_names_provider_and_model(spec: str, provider: str, api: str, model: str):
    parsed = parse_spec(spec)
    assert (parsed.provider.name, parsed.provider.api, parsed.model) == (provider, api, model)


def test_no_library_of_a_provider_is_imported_by_construction():
    script = """
import sys
from jumpseat.agents.builtin.models.resolving import configured_model, resolve_model
for spec in ("openai/a", "openai-chat/a", "anthropic/a", "google/a", "vertex/a", "minimax/a"):
    configured_model(spec), resolve_model(spec, api_key="k")
heavy = {"pydantic_ai", "openai", "anthropic", "google.genai", "pydantic", "httpx2"}
print(*sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("spec", "missing", "line"),
    [
        ("openai/x", "openai", 'pip install "jumpseat[openai]"'),
        ("anthropic/x", "anthropic", 'pip install "jumpseat[anthropic]"'),
        ("gemini/x", "google.genai", 'pip install "jumpseat[google]"'),
        ("minimax/x", "pydantic_ai", 'pip install "jumpseat[openai]"'),
        ("groq/x", "groq", 'pip install "pydantic-ai-slim[groq]"'),
    ],
)
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    spec: str, missing: str, line: str, monkeypatch: pytest.MonkeyPatch
):
    find = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, missing, raising=False)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else find(name, *a)
    )
    with pytest.raises(MissingDependencyError, match="pip install") as refused:
        configured_model(spec)
    assert str(refused.value).endswith(line)


@pytest.mark.parametrize(
    ("spec", "variables"),
    [
        ("openai/x", ["OPENAI_API_KEY"]),
        ("anthropic/x", ["ANTHROPIC_API_KEY"]),
        ("google/x", ["GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"]),
        ("minimax/x", ["MINIMAX_API_KEY"]),
    ],
)
async def test_a_missing_key_is_found_by_the_run_and_named(
    spec: str, variables: list[str], monkeypatch: pytest.MonkeyPatch
):
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    model = configured_model(spec)
    with pytest.raises(AgentFailure) as failed:
        await model.language_model()
    assert failed.value.code == "authentication_error"
    assert all(name in failed.value.message for name in variables)


async def test_a_key_that_only_pydantic_ai_knows_of_is_named_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    with pytest.raises(AgentFailure) as failed:
        await configured_model("deepseek/deepseek-chat").language_model()
    assert failed.value.code == "authentication_error"
    assert failed.value.message == "No API key for deepseek: set DEEPSEEK_API_KEY, or pass api_key."


async def test_a_provider_that_only_pydantic_ai_knows_gets_the_key_of_the_run():
    configured = configured_model("deepseek/deepseek-chat", api_key="sk-of-deepseek")
    try:
        model = await configured.language_model()
        assert (model.provider, model.model) == ("deepseek", "deepseek-chat")  # type: ignore[attr-defined]
    finally:
        await configured.aclose()


def test_a_key_of_the_run_goes_before_the_configured_and_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEMINI_API_KEY", "third")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GOOGLE_GENERATIVE_AI_API_KEY", "second")
    assert configured_model("google/x").secrets() == ("second",)
    assert configured_model("google/x", api_key="own").secrets() == ("own",)
    assert configured_model("google/x", api_key="own").secrets("of the run") == ("of the run",)


@pytest.mark.parametrize("model", [None, 7, object(), dict, {"stream": True}])
def test_what_cannot_answer_is_refused(model: object):
    with pytest.raises(ConfigurationError, match="model must be"):
        configured_model(model)
