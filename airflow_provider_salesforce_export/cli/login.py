"""The command that logs in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_salesforce_export.cli.callback import Callback
from airflow_provider_salesforce_export.cli.command import command, hook_of
from airflow_provider_salesforce_export.exceptions import AuthenticationError, ConfigurationError
from airflow_provider_salesforce_export.hooks.login import BrowserLogin

if TYPE_CHECKING:
    from argparse import Namespace


@command
def log_in(args: Namespace) -> None:
    """
    Send the user to Salesforce, take the answer, and store the key.

    :param args: What was typed.
    """
    state = secrets.token_urlsafe(32)
    with hook_of(args) as hook:
        hook.keys.status(hook.account)  # a code is good once: find out now whether its token can be stored
        if args.port is not None:
            with Callback(args.port) as callback:
                login = BrowserLogin(hook, callback.address)
                print(f"Open this address in a browser on this machine:\n\n{login.url(state)}\n", flush=True)
                answer = callback.wait_for(partial(_belongs, state))
        else:
            login = BrowserLogin(hook)
            print(f"Open this address in any browser:\n\n{login.url(state)}\n")
            print("Then paste the address at which the browser ends up, whether or not there is a page.")
            answer = _pasted(state)
        login.finish(answer)
        status = hook.keys.status(hook.account)
    print(f"Logged in to {status.instance_url}: the key is stored.")


def _belongs(state: str, answer: Mapping[str, str]) -> bool:
    """Return whether an answer is to this login, and not one that somebody else began."""
    return secrets.compare_digest(answer.get("state", "").encode(), state.encode())


def _pasted(state: str) -> dict[str, str]:
    """Return the answer that the user pastes: an address, or the code alone."""
    try:
        text = input("Address or code: ").strip()
    except EOFError:
        text = ""
    if not text:
        raise ConfigurationError("Nothing was pasted: expected the address at which the browser ended up, or its code.")
    if "code=" in text or "error=" in text:
        answer = dict(parse_qsl(urlsplit(text).query or text))
        if not _belongs(state, answer):
            raise AuthenticationError("The answer is to another login (its state differs): begin again.")
        return answer
    # A code carries no state; what ties it to this login is the code verifier, without which it is worth nothing.
    return {"code": unquote(text)}
