"""What can be set about a sandbox org."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass
class SandboxSettings:
    """
    Size, behaviour and credentials of a sandbox org.

    :param contacts: Contacts that are not in the recycle bin; about one per cent more are in it.
    :param deals: Opportunities, likewise.
    :param notes: Notes, likewise.
    :param seed: The same seed gives the same data, and the org the same Id.
    :param now: The org's clock at its start; by default the real time. The data lies in the 365 days before.
    :param host: Address to listen on.
    :param port: Port to listen on; 0 for any free one.
    :param latency: Seconds that every data call takes before its work starts.
    :param token_lifetime: Seconds that an access token lives; None for ever.
    :param code_lifetime: Seconds that an authorization code lives.
    :param rotate_refresh_tokens: Whether every refresh gives a new refresh token and kills the old one.
    :param api_quota: Data calls that the org allows in a day.
    :param batch_size: Most records in one reply, whatever the client asks for.
    :param bulk_seconds: Seconds that a Bulk query job takes at least.
    :param bulk_chunk_size: Most records in one result of a Bulk query job, whatever the client asks for.
    :param hidden_fields: Fields that the user may not see, such as ``Contact.Email``.
    :param client_id: Consumer key of the app.
    :param client_secret: Consumer secret of the app.
    :param username: The org's one API user.
    :param password: That user's password.
    :param security_token: That user's security token, which follows the password.
    :param jwt_public_key: PEM of the public key that proves JWT assertions; None refuses them.
    :param redirect_uris: Redirect URIs of the app; when there are none, any loopback one will do.
    """

    contacts: int = 12_345
    deals: int = 4_321
    notes: int = 678
    seed: int = 1
    now: datetime | None = None
    host: str = "127.0.0.1"
    port: int = 0
    latency: float = 0.0
    token_lifetime: float | None = None
    code_lifetime: float = 900.0
    rotate_refresh_tokens: bool = False
    api_quota: int = 100_000
    batch_size: int = 2_000
    bulk_seconds: float = 0.0
    bulk_chunk_size: int = 50_000
    hidden_fields: tuple[str, ...] = ()
    client_id: str = "sandbox-client-id"
    client_secret: str = "sandbox-client-secret"
    username: str = "integration@sandbox.example"
    password: str = "sandbox-password"
    security_token: str = "SANDBOXTOKEN"
    jwt_public_key: str | None = None
    redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.now is not None and self.now.tzinfo is None:
            self.now = self.now.replace(tzinfo=timezone.utc)
