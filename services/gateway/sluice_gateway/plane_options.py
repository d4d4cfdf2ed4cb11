"""What the settings say to the request path."""

from sluice.settings import PlatformSettings
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.settings import Settings


def options_of(platform: PlatformSettings, settings: Settings, user_types: frozenset[str]) -> Options:
    """Return the options of the request path; `user_types` are the kinds of user that it counts apart."""
    return Options(
        max_body_bytes=settings.max_body_bytes,
        max_form_bytes=settings.max_upload_bytes,
        client_patience_s=settings.client_patience_s,
        given_up_s=settings.given_up_s,
        given_up_answers=settings.given_up_answers,
        private_links=settings.private_links,
        link_hosts=frozenset(host.lower() for host in settings.link_hosts),
        user_types=user_types,
        browsers=bool(settings.cors_origins),
        trace_ratio=platform.trace_ratio,
        trace_ratio_direct=settings.trace_ratio_direct,
        retries=settings.retries,
        retry_share=settings.retry_share,
        limit_queue=settings.limits_queue,
        limit_queue_wait_s=settings.limits_queue_wait_s,
        unpriced_models=settings.unpriced_models,
    )
