"""Many customers on one server: their own keys and prompts, and threads that only their owners see."""

import os
from dataclasses import dataclass

from starlette.requests import Request

from jumpseat import BuiltInAgent, CopilotRuntime, RunAgentInput, RunContext, SqliteAgentRunner, User


@dataclass(frozen=True)
class Tenant:
    """What is different from customer to customer."""

    key_variable: str
    prompt: str


TENANTS = {
    "acme": Tenant("ACME_OPENAI_KEY", "You help the people of Acme. Be formal."),
    "umbrella": Tenant("UMBRELLA_OPENAI_KEY", "You help the people of Umbrella. Be cheerful."),
}


def tenant_of(context: RunContext) -> Tenant:
    """Find the tenant of the user who asks; user ids are ``tenant:name`` here."""
    if context.user is None:
        raise LookupError("nobody is logged in")
    return TENANTS[context.user.id.partition(":")[0]]


def identify_user(request: Request) -> User | None:
    """Return who sends a request. A real application looks into its session or token."""
    name = request.headers.get("x-user", "")
    return User(id=name) if name.partition(":")[0] in TENANTS else None


def key_of(context: RunContext) -> str:
    """Return the key that the tenant pays with."""
    return os.environ[tenant_of(context).key_variable]


def prompt_of(given: RunAgentInput, context: RunContext) -> str:
    """Return the tenant's prompt."""
    return tenant_of(context).prompt


# Both are asked once for each run; one agent object serves all runs at once.
agent = BuiltInAgent(model="openai/gpt-5", api_key=key_of, prompt=prompt_of)
runtime = CopilotRuntime(
    agents={"default": agent},
    identify_user=identify_user,
    runner=SqliteAgentRunner(db_path="threads.db"),
)
app = runtime.app(base_path="/api/copilotkit")
