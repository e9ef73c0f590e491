"""The providers of models: their names, keys, addresses, and what has to be installed for each."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from typing import Final, Literal

from jumpseat.errors import MissingDependencyError

__all__ = ["Provider", "find_provider", "other_names", "require_library"]

Api = Literal["responses", "chat", "anthropic", "google", "vertex", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who serves a model.

    Attributes:
        name: What usage, options and signatures are filed under.
        api: The provider's interface; ``other`` is left to pydantic-ai, under ``upstream``.
        upstream: pydantic-ai's name.
        library: The module that must be importable.
        install: What ``pip install`` is to be given for it.
        key_variables: Where a key is looked for when none is configured.
        url_variable: The variable that overrides the address.
        url: The address when it is not the library's own.
        url_suffix: What Node programs have at the end of that variable and this library does not want.
    """

    name: str
    api: Api
    upstream: str
    library: str
    install: str
    key_variables: tuple[str, ...] = ()
    url_variable: str | None = None
    url: str | None = None
    url_suffix: str = ""

    @property
    def needs_key(self) -> bool:
        """Whether a run cannot start without a key that is looked for here."""
        return bool(self.key_variables)

    def key(self) -> str | None:
        """Return the key of the environment."""
        return next((key for name in self.key_variables if (key := os.environ.get(name, "").strip())), None)

    def base_url(self) -> str | None:
        """Return the address to use; ``None``: the library's own."""
        given = os.environ.get(self.url_variable, "").strip() if self.url_variable else ""
        if not given:
            return self.url
        stripped = given.rstrip("/")
        return stripped.removesuffix(self.url_suffix) if self.url_suffix else stripped


_OPENAI: Final = Provider(
    name="openai",
    api="responses",
    upstream="openai",
    library="openai",
    install="jumpseat[openai]",
    key_variables=("OPENAI_API_KEY",),
    url_variable="OPENAI_BASE_URL",
)
_GOOGLE: Final = Provider(
    name="google",
    api="google",
    upstream="google",
    library="google.genai",
    install="jumpseat[google]",
    key_variables=("GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"),
    url_variable="GOOGLE_GENERATIVE_AI_BASE_URL",
    url_suffix="/v1beta",
)
_OWN: Final[Mapping[str, Provider]] = {
    "openai": _OPENAI,
    "openai-chat": replace(_OPENAI, api="chat"),
    "anthropic": Provider(
        name="anthropic",
        api="anthropic",
        upstream="anthropic",
        library="anthropic",
        install="jumpseat[anthropic]",
        key_variables=("ANTHROPIC_API_KEY",),
        url_variable="ANTHROPIC_BASE_URL",
        url_suffix="/v1",
    ),
    "google": _GOOGLE,
    "gemini": _GOOGLE,
    "google-gemini": _GOOGLE,
    "vertex": Provider(
        name="vertex",
        api="vertex",
        upstream="google-cloud",
        library="google.genai",
        install="jumpseat[google]",
    ),
    "minimax": Provider(
        name="minimax",
        api="chat",
        upstream="openai",
        library="openai",
        install="jumpseat[openai]",
        key_variables=("MINIMAX_API_KEY",),
        url_variable="MINIMAX_BASE_URL",
        url="https://api.minimax.io/v1",
    ),
}

# Of pydantic-ai's other providers: what they import, and the name of its extra. Those without an entry speak
# OpenAI's protocol with OpenAI's library.
_LIBRARIES: Final[Mapping[str, tuple[str, str]]] = {
    "bedrock": ("boto3", "bedrock"),
    "cohere": ("cohere", "cohere"),
    "google-cloud": ("google.genai", "google"),
    "groq": ("groq", "groq"),
    "huggingface": ("huggingface_hub", "huggingface"),
    "mistral": ("mistralai", "mistral"),
    "xai": ("xai_sdk", "xai"),
}
_OTHERS: Final = (
    *(
        "alibaba",
        "azure",
        "bedrock",
        "cerebras",
        "cohere",
        "deepseek",
        "fireworks",
        "github",
        "groq",
        "heroku",
    ),
    *("huggingface", "litellm", "mistral", "moonshotai", "nebius", "ollama", "openrouter", "ovhcloud"),
    *("sambanova", "together", "vercel", "xai"),
)
# Modules of pydantic-ai that serve no chat models.
_NO_MODELS: Final = frozenset(
    {"elevenlabs", "gateway", "openai-compatible", "sentence-transformers", "voyageai"}
)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def find_provider(name: str) -> Provider | None:
    """Return the provider of this lower-case name; nothing of it is imported."""
    own = _OWN.get(name)
    if own is not None:
        return own
    return _of_pydantic_ai(name) if name in _OTHERS or _knows(name) else None


def other_names() -> list[str]:
    """The accepted names beside openai, anthropic, google and gemini, sorted."""
    return sorted((set(_OWN) | set(_OTHERS)) - {"openai", "anthropic", "google", "gemini"})


def require_library(provider: Provider) -> None:
    """Find out, without importing it, whether the provider's library is there.

    Raises:
        MissingDependencyError: It is not; the text has the line that installs it.
    """
    missing = next((name for name in ("pydantic_ai", provider.library) if not _is_installed(name)), None)
    if missing is not None:
        raise MissingDependencyError(
            f"Models of {provider.name} need the package {missing.partition('.')[0]}, "
            f'which is not installed: pip install "{provider.install}"'
        )


def _of_pydantic_ai(name: str) -> Provider:
    library, extra = _LIBRARIES.get(name, ("openai", ""))
    return Provider(
        name=name,
        api="other",
        upstream=name,
        library=library,
        install=f"pydantic-ai-slim[{extra}]" if extra else "jumpseat[openai]",
    )


def _knows(name: str) -> bool:
    """Whether an installed pydantic-ai has a module for this provider."""
    if name in _NO_MODELS or not _NAME.fullmatch(name):
        return False
    package = importlib.util.find_spec("pydantic_ai")
    folders = package.submodule_search_locations if package else None
    return folders is not None and any(
        PathFinder.find_spec(name.replace("-", "_"), [f"{folder}/providers"]) is not None
        for folder in folders
    )


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
