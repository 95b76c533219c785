"""Which addresses may be told, before anything is sent there."""

import httpx

from pipelines.settings import Settings
from pipelines.webhooks.addresses import checked_addresses, checked_url
from pipelines.webhooks.sending import https_only


def checked_endpoint(settings: Settings, url: str) -> httpx.URL:
    """
    An address that may be added; its name is resolved, which may take seconds.

    Raises:
        WebhookError: it is malformed, not encrypted, or not of the internet.
    """
    parsed = checked_url(url, https_only=https_only(settings))
    allowed = settings.webhooks.allow_private
    checked_addresses(parsed.host, parsed.port or 443, allow_private=allowed)
    return parsed
