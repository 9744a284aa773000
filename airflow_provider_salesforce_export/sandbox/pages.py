"""The pages that a browser sees. They load nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_salesforce_export.sandbox.settings import SandboxSettings

_SCOPES = {
    "api": "Manage user data via APIs",
    "refresh_token": "Perform requests at any time",
    "offline_access": "Perform requests at any time",
    "full": "Full access",
    "id": "Access the identity URL service",
    "openid": "Access unique user identifiers",
    "web": "Manage user data via web browsers",
}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f3f5f8, #14171c); color: light-dark(#1c2430, #e6e9ee); }
main { width: min(27rem, calc(100vw - 2rem)); box-sizing: border-box; padding: 2rem; border-radius: 12px;
  background: light-dark(#fff, #1e232b); box-shadow: 0 8px 30px rgb(0 0 0 / .12); }
h1 { font-size: 1.25rem; margin: 0 0 1rem; }
p.note { font-size: .875rem; color: light-dark(#5a6675, #9aa5b5); }
code { font-size: .875em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0; }
dd { margin: 0; }
form { display: flex; gap: .75rem; margin-top: 1.5rem; }
button { flex: 1; font: inherit; padding: .6rem 1rem; border-radius: 8px; cursor: pointer;
  border: 1px solid light-dark(#b8c2cf, #465162); background: transparent; color: inherit; }
button.allow { background: #0b5cab; border-color: #0b5cab; color: #fff; }
button:focus-visible { outline: 3px solid #78b0e8; outline-offset: 2px; }
"""


def page(title: str, content: str) -> str:
    """
    Return a whole page.

    :param title: Its title, plain text.
    :param content: What it shows, HTML.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{content}</main></body></html>"
    )


def consent_page(ticket: str, username: str, client_id: str, scopes: list[str]) -> str:
    """
    Return the page that asks the user to allow an app.

    :param ticket: What the form hands back.
    :param username: Who is asked.
    :param client_id: The app's consumer key.
    :param scopes: What the app wants to do.
    """
    wanted = "".join(f"<li>{escape(_SCOPES.get(scope, scope))}</li>" for scope in dict.fromkeys(scopes))
    content = (
        "<h1>Allow access?</h1>"
        f"<p>The app <code>{escape(client_id)}</code> asks to:</p><ul>{wanted}</ul>"
        f'<p class="note">You are logged in as {escape(username)} to the Salesforce sandbox org of'
        " airflow-provider-salesforce-export. This is not Salesforce; the data is made up.</p>"
        '<form method="post" action="/services/oauth2/authorize">'
        f'<input type="hidden" name="ticket" value="{escape(ticket)}">'
        '<button type="submit" name="decision" value="deny">Deny</button>'
        '<button type="submit" name="decision" value="allow" class="allow">Allow</button></form>'
    )
    return page("Allow access?", content)


def error_page(error: str, description: str) -> str:
    """
    Return the page for a login that cannot go on.

    :param error: The OAuth error code.
    :param description: What Salesforce says.
    """
    content = (
        "<h1>We can't authorize you because of an OAuth error.</h1>"
        f"<p><code>error={escape(error)}&amp;error_description={escape(description)}</code></p>"
    )
    return page("OAuth error", content)


def root_page(url: str, settings: SandboxSettings) -> str:
    """
    Return the page that says what this is, and what to write into an Airflow connection to it.

    :param url: The org's address.
    :param settings: Its size and credentials, as it was started.
    """
    fields = {"Login domain": url, "Consumer key": settings.client_id, "Consumer secret": settings.client_secret}
    form = "".join(f"<dt>{label}</dt><dd><code>{escape(value)}</code></dd>" for label, value in fields.items())
    content = (
        "<h1>Salesforce sandbox org</h1>"
        "<p>A Salesforce org on localhost, to develop and test airflow-provider-salesforce-export against:"
        f" {settings.contacts:,} contacts, {settings.deals:,} deals and {settings.notes:,} notes, all made up.</p>"
        f"<p>An Airflow connection to it, of type Salesforce Export:</p><dl>{form}</dl>"
        "<p>OAuth under <code>/services/oauth2/</code>, REST under <code>/services/data/</code>, and its state at"
        ' <a href="/sandbox/state">/sandbox/state</a>.</p>'
    )
    return page("Salesforce sandbox org", content)
