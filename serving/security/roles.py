"""
The one table of who may call what.

A route that is not in it may be called by nobody. What a role may is listed here, and never follows
from another role.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.credentials.roles import Role
from serving.security.principal import Principal


@dataclass(frozen=True)
class Rule:
    """
    Who may call a route.

    Attributes:
        roles: Any of these.
        own: Besides, a reader, where the `user_id` in the path is their own.
        anyone: Besides, callers without credentials.
    """

    roles: frozenset[Role] = frozenset(Role)
    own: bool = False
    anyone: bool = False


ANYONE = Rule(anyone=True)
"""What is about nobody."""
KNOWN = Rule()
"""About the caller, or about the service."""
ABOUT_A_READER = Rule(frozenset({Role.SERVICE, Role.CURATOR, Role.ADMIN}), own=True)
STAFF = Rule(frozenset({Role.SERVICE, Role.CURATOR, Role.ADMIN}))
ADMINS = Rule(frozenset({Role.ADMIN}))

ROUTES: Mapping[str, Rule] = {
    "GET /": ANYONE,
    "GET /docs": ANYONE,
    "GET /docs/oauth2-redirect": ANYONE,
    "GET /openapi.json": ANYONE,
    "GET /livez": ANYONE,
    "GET /readyz": ANYONE,
    "GET /metrics": ANYONE,
    "POST /api/v1/auth/token": ANYONE,
    "POST /api/v1/auth/logout": ANYONE,
    "GET /api/v1/auth/me": ANYONE,
    "GET /api/v1/ratelimit/info": ANYONE,
    "GET /api/v1/books/popular": ANYONE,
    "GET /api/v1/books/trending": ANYONE,
    "GET /api/v1/books/search": ANYONE,
    "POST /api/v1/books/similar": ANYONE,
    "GET /api/v1/genres": ANYONE,
    "POST /api/v1/recommendations": ANYONE,
    "POST /api/v1/recommendations/rerank": ANYONE,
    "POST /api/v1/recommendations/batch": STAFF,
    "POST /api/v1/sessions": ANYONE,
    "POST /api/v1/sessions/current/events": ANYONE,
    "GET /api/v1/sessions/current/recommendations": ANYONE,
    "DELETE /api/v1/sessions/current": ANYONE,
    "GET /api/v1/books/{book_id}": ANYONE,
    "GET /api/v1/books/{book_id}/similar": ANYONE,
    "GET /api/v1/users/{user_id}/recommendations": ABOUT_A_READER,
    "GET /api/v1/users/{user_id}": ABOUT_A_READER,
    "PUT /api/v1/users/{user_id}": STAFF,
    "DELETE /api/v1/users/{user_id}": Rule(frozenset({Role.CURATOR, Role.ADMIN}), own=True),
    "POST /api/v1/feedback": KNOWN,
    "GET /api/v1/models/current": STAFF,
    "GET /api/v1/models": STAFF,
    "GET /api/v1/models/{version}": STAFF,
    "POST /api/v1/admin/models/rollback": ADMINS,
    "GET /api/v1/admin/cache": ADMINS,
    "DELETE /api/v1/admin/cache": ADMINS,
    "POST /api/v1/admin/cache/warm": ADMINS,
    "GET /api/v1/admin/cache/warm": ADMINS,
    "DELETE /api/v1/admin/sessions": ADMINS,
    "DELETE /api/v1/admin/sessions/{session}": ADMINS,
    "GET /api/v1/admin/users": ADMINS,
    "POST /api/v1/admin/users": ADMINS,
    "PATCH /api/v1/admin/users/{name}": ADMINS,
    "DELETE /api/v1/admin/users/{name}": ADMINS,
    "DELETE /api/v1/admin/users/{name}/sessions": ADMINS,
    "GET /api/v1/admin/keys": ADMINS,
    "POST /api/v1/admin/keys": ADMINS,
    "DELETE /api/v1/admin/keys/{key_id}": ADMINS,
    "GET /api/v1/admin/webhooks": ADMINS,
    "POST /api/v1/admin/webhooks": ADMINS,
    "DELETE /api/v1/admin/webhooks/{webhook_id}": ADMINS,
    "GET /api/v1/admin/webhooks/deliveries": ADMINS,
    "POST /api/v1/admin/webhooks/deliveries/{delivery_id}/retry": ADMINS,
    "GET /api/v1/admin/audit": ADMINS,
}
"""By method and template of the path."""


def may(principal: Principal, route: str, user_id: str | None = None) -> bool:
    """
    Whether somebody may call a route.

    Args:
        principal: Who asks.
        route: A key of `ROUTES`.
        user_id: The reader whom the path names, if it does.
    """
    rule = ROUTES.get(route)
    if rule is None:
        return False
    if rule.anyone or principal.roles & rule.roles:
        return True
    return rule.own and Role.READER in principal.roles and principal.subject == user_id


def may_speak_for(principal: Principal, user_id: str) -> bool:
    """Whether somebody may tell what a reader did: staff of any, a reader of themselves."""
    if principal.roles & STAFF.roles:
        return True
    return Role.READER in principal.roles and principal.subject == user_id
