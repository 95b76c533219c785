"""
Who may be answered at once, without the layers of the gateway: callers whom this worker knows.

Whatever is missing here, such as a credential that was not seen before, is for the layers, which
look up, refuse and explain. So nobody is refused here.
"""

from starlette.types import Scope

from pipelines.errors import GrantError
from serving.bootstrap import Components
from serving.gateway.indexed_headers import IndexedHeaders
from serving.security.principal import Principal
from serving.security.roles import may

_LONG = frozenset({b"origin", b"content-length", b"transfer-encoding"})
"""Headers of requests that more has to be done about: of other origins, or with a body."""


def admitted(
    parts: Components, scope: Scope, headers: IndexedHeaders, route: str, user_id: str | None
) -> Principal | None:
    """
    Who asks, and may; None where the layers have to decide.

    Args:
        parts: Of the service.
        scope: Of a GET.
        headers: Its headers.
        route: The template of its path.
        user_id: The reader whom the path names, if it does.
    """
    security = parts.security
    if headers.has_any(_LONG) or not security.is_trusted(headers.get("host")):
        return None
    try:
        principal = security.authenticator.recalled(scope, headers)
    except GrantError:
        return None
    if principal is None or not may(principal, f"GET {route}", user_id):
        return None
    return principal
