"""Which request headers travel on to agent servers."""

import pytest
from starlette.datastructures import Headers

from jumpseat.errors import ConfigurationError
from jumpseat.runtime.forwarding import ForwardHeaders, forwarded_headers

PLATFORM = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
    "x-amzn-trace-id",
    "x-amz-cf-id",
    "x-cloud-trace-context",
    "x-cache",
    "x-served-by",
    "x-request-id",
    "x-copilotcloud-public-api-key",
    "x-amz-date",
    "x-azure-ref",
    "x-fastly-id",
    "x-vercel-id",
    "x-middleware-next",
    "x-copilotcloud-anything",
]
BROWSER = ["cookie", "origin", "host", "user-agent", "accept", "content-type", "referer", "xylophone"]


def travelling(policy: ForwardHeaders | None = None, **headers: str) -> set[str]:
    return set(forwarded_headers({name.replace("_", "-"): value for name, value in headers.items()}, policy))


def test_authorization_and_application_headers_travel_by_default():
    headers = {"Authorization": "Bearer t", "X-Tenant": "acme", "X-Forwarded-Prefix": "/p"}
    assert forwarded_headers(headers) == {
        "authorization": "Bearer t",
        "x-tenant": "acme",
        "x-forwarded-prefix": "/p",
    }


@pytest.mark.parametrize("name", [*PLATFORM, *BROWSER])
def test_what_browsers_and_platforms_add_does_not_travel_by_default(name):
    assert forwarded_headers({name.title(): "v"}) == {}


@pytest.mark.parametrize("name", PLATFORM)
def test_without_the_default_list_platform_headers_travel_too(name):
    assert forwarded_headers({name: "v"}, ForwardHeaders(use_default_denylist=False)) == {name: "v"}


@pytest.mark.parametrize("name", BROWSER)
def test_without_the_default_list_browser_headers_still_do_not(name):
    assert forwarded_headers({name: "v"}, ForwardHeaders(use_default_denylist=False)) == {}


def test_own_denials_add_to_the_default_ones():
    policy = ForwardHeaders(deny=[" Authorization "], deny_prefixes=["X-Internal-"])
    sent = travelling(policy, authorization="t", x_internal_a="1", x_tenant="a", x_request_id="r")
    assert sent == {"x-tenant"}


def test_an_allow_list_is_all_that_travels_and_passes_the_default_list():
    policy = ForwardHeaders(allow=["Cookie", "x-request-id", "x-secret"], deny=["x-secret"])
    sent = travelling(policy, cookie="c", x_request_id="r", x_secret="s", authorization="t", x_tenant="a")
    assert sent == {"cookie", "x-request-id"}


def test_a_denied_prefix_takes_from_the_allow_list_too():
    assert travelling(ForwardHeaders(allow=["x-a", "x-b"], deny_prefixes=["x-a"]), x_a="1", x_b="2") == {
        "x-b"
    }


def test_blank_entries_count_for_nothing():
    policy = ForwardHeaders(deny=["", " "], deny_prefixes=["", "  "], allow=["", "\t"])
    assert travelling(policy, authorization="t", x_tenant="a", cookie="c") == {"authorization", "x-tenant"}


def test_repeated_headers_are_joined_under_one_lower_case_name():
    headers = Headers(raw=[(b"x-role", b"a"), (b"authorization", b"t"), (b"x-role", b"b")])
    assert forwarded_headers(headers) == {"x-role": "a, b", "authorization": "t"}


@pytest.mark.parametrize(
    "options", [{"deny": "cookie"}, {"allow": [1]}, {"deny_prefixes": 5}, {"use_default_denylist": "no"}]
)
def test_a_policy_that_cannot_be_meant_is_refused(options):
    with pytest.raises(ConfigurationError, match="forward_headers"):
        ForwardHeaders(**options)
