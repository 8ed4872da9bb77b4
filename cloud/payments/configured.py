"""Which payment providers a configuration names."""

from cloud.config import CloudConfig
from cloud.payments.base import PaymentProvider
from cloud.payments.sandbox import SandboxProvider


def providers(config: CloudConfig) -> dict[str, PaymentProvider]:
    """The payment providers of a configuration, by name."""
    table = config.payments
    return {table.provider: SandboxProvider(table.url, table.api_key, table.webhook_secret)}
