"""What Airflow discovers of this package: the connection type and its form, the configuration, the commands."""

from __future__ import annotations

from typing import Any

from airflow_provider_salesforce_export.salesforce.grants import GRANT_TYPES
from airflow_provider_salesforce_export.version import __version__


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form that Airflow's providers manager reads."""
    return {
        "package-name": "airflow-provider-salesforce-export",
        "name": "Salesforce Export",
        "description": "Scheduled Salesforce extraction: whole, paged, with one OAuth token for all workers.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "salesforce_export",
                "hook-name": "Salesforce Export",
                "hook-class-name": "airflow_provider_salesforce_export.hooks.salesforce_export.SalesforceExportHook",
                "ui-field-behaviour": _FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "asset-uris": [
            {"schemes": ["salesforce"], "handler": "airflow_provider_salesforce_export.assets.sanitize_uri"},
        ],
        "cli": ["airflow_provider_salesforce_export.cli.definition.get_cli_commands"],
        "config": {
            "salesforce_export": {
                "description": "Settings of the Salesforce export provider.",
                "options": {
                    "key_encryption_keys": {
                        "description": "Fernet keys that encrypt the Salesforce tokens in MongoDB, newest first, with "
                        "commas between them; the field of the same name in a connection goes before. Where neither "
                        "is set, a key is derived from the consumer secret.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "sensitive": True,
                        "example": None,
                        "default": None,
                    },
                    "allowed_forward_urls": {
                        "description": "Where a browser may be sent after a login to Salesforce, besides Airflow's own "
                        "[api] base_url: addresses with commas between them; what lies below one is allowed too.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://portal.acme.com,https://acme.com/integrations",
                        "default": None,
                    },
                },
            },
        },
    }


_FIELD_BEHAVIOUR = {
    # The port stays visible, though it is not used: Airflow 3.3 can test only connections that have one.
    "hidden-fields": ["schema"],
    "relabeling": {
        "host": "Login domain",
        "login": "Consumer key",
        "password": "Consumer secret",
    },
    "placeholders": {
        "host": "login, test, or your My Domain name, such as acme",
        "login": "Consumer key (client id) of the external client app",
        "password": "Consumer secret of the external client app",
        "port": "Not used. Airflow's Test button needs one: write 443",
    },
}


def _field(
    label: str, description: str, kind: str = "string", *, placeholder: str = "", **schema: Any
) -> dict[str, Any]:
    """Return a form field that may stay blank; ``placeholder`` shows what a value looks like."""
    if placeholder:
        description = f"{description} For example: {placeholder}"
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


CONNECTION_FIELDS = {
    "grant_type": {
        "label": "Grant type",
        "description": "How access tokens are obtained. refresh_token: renewed with the token of a login, which is "
        "stored in MongoDB. jwt_bearer: signed with the private key. client_credentials: as the app's own user, at "
        "your My Domain. password: with the user's password.",
        "schema": {"type": "string", "enum": list(GRANT_TYPES), "default": GRANT_TYPES[0]},
    },
    "account_id": _field(
        "Account",
        "Under which account the token is stored. Blank: the consumer key.",
        placeholder="acme-production",
    ),
    "owner": _field(
        "Owner", "Under which owner the token is stored. Blank: the login host.", placeholder="data-platform"
    ),
    "mongo_conn_id": _field(
        "MongoDB connection",
        "The Airflow connection of the MongoDB that keeps the tokens. Blank: mongo_default.",
        placeholder="mongo_keys",
    ),
    "key_database": _field(
        "Key database",
        "The MongoDB database of the tokens. Blank: that of the MongoDB connection, else salesforce_export.",
        placeholder="integrations",
    ),
    "key_collection": _field(
        "Key collection", "The MongoDB collection of the tokens. Blank: integrations.salesforce.key."
    ),
    "key_encryption_keys": _field(
        "Key encryption keys",
        "Fernet keys that encrypt the token in MongoDB, newest first, with commas between them. Blank: those of "
        "Airflow's configuration, else one that is derived from the consumer secret.",
        format="password",
    ),
    "api_version": _field("API version", "Version of the REST API and Bulk API 2.0. Blank: 62.0.", placeholder="65.0"),
    "username": _field(
        "User name", "Of the Salesforce user, for the grants jwt_bearer and password.", placeholder="export@acme.com"
    ),
    "user_password": _field("User's password", "Of that Salesforce user, for the grant password.", format="password"),
    "security_token": _field(
        "Security token",
        "Of that user, for the grant password; blank where the org trusts the workers' IP addresses.",
        format="password",
    ),
    "private_key": _field(
        "Private key",
        "For the grant jwt_bearer: the RSA key in PEM, whose certificate the app has; as one line, or encoded as "
        "base64.",
        format="password",
    ),
    "private_key_file_path": _field(
        "Private key file",
        "For the grant jwt_bearer, instead of the private key: a file on every worker.",
        placeholder="/etc/airflow/salesforce.pem",
    ),
    "redirect_uri": _field(
        "Redirect URI",
        "Where a login in the browser comes back to: a callback URL of the app. Blank: the one that the page "
        "Salesforce shows.",
        placeholder="https://airflow.acme.com/callback",
    ),
    "scopes": _field(
        "Scopes",
        "What a login in the browser asks for. Blank: api refresh_token.",
        placeholder="api id refresh_token",
    ),
    "auth_timeout": _field(
        "Login timeout",
        "Seconds to wait for the login host. Blank: 10.",
        "number",
        exclusiveMinimum=0,
    ),
    "timeout": _field(
        "Query timeout",
        "Seconds to wait for a reply to a query. Blank: 180.",
        "number",
        exclusiveMinimum=0,
    ),
    "proxies": _field(
        "Proxies",
        "Proxies by scheme, as for requests. Blank: those of the environment.",
        "object",
        placeholder='{"https": "http://proxy:3128"}',
    ),
}
