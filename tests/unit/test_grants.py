import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from airflow_provider_salesforce_export.exceptions import LoginRequiredError
from airflow_provider_salesforce_export.salesforce.grants import (
    App,
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    JwtBearerGrant,
    PasswordGrant,
    RefreshTokenGrant,
)

APP = App("https://acme--uat.sandbox.my.salesforce.com", "consumer-key", "consumer-secret")
CREDENTIALS = {"client_id": "consumer-key", "client_secret": "consumer-secret"}


@pytest.mark.parametrize(
    ("grant", "form"),
    [
        (RefreshTokenGrant(), {"grant_type": "refresh_token", "refresh_token": "stored"}),
        (ClientCredentialsGrant(), {"grant_type": "client_credentials"}),
        (
            PasswordGrant("ada@acme.com", "p#s+&=ß %", "TOKEN"),
            {"grant_type": "password", "username": "ada@acme.com", "password": "p#s+&=ß %TOKEN"},
        ),
        (
            AuthorizationCodeGrant("code", "verifier", "https://airflow.acme.com/callback"),
            {
                "grant_type": "authorization_code",
                "code": "code",
                "code_verifier": "verifier",
                "redirect_uri": "https://airflow.acme.com/callback",
            },
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_a_grant_sends(grant, form):
    assert grant.form(APP, {"refresh_token": "stored"}) == form | CREDENTIALS


def test_an_app_without_a_secret_sends_none():
    assert App("https://acme.my.salesforce.com", "consumer-key").credentials() == {"client_id": "consumer-key"}


def test_an_assertion_is_signed_for_the_user_the_app_and_some_minutes(key_pair):
    private, public = key_pair
    form = JwtBearerGrant("ada@acme.com", load_pem_private_key(private.encode(), None)).form(APP, None)

    claims = jwt.decode(form["assertion"], public, algorithms=["RS256"], audience="https://test.salesforce.com")

    assert form.keys() == {"grant_type", "assertion"}  # above all no consumer secret
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (claims["iss"], claims["sub"]) == ("consumer-key", "ada@acme.com")
    assert 60 < claims["exp"] - time.time() < 180


@pytest.mark.parametrize("key", [None, {}, {"access_token": "a"}, {"refresh_token": ""}])
def test_no_refresh_token_means_a_login(key):
    with pytest.raises(LoginRequiredError):
        RefreshTokenGrant().form(APP, key)


def test_secrets_are_not_shown(key_pair):
    grants = [
        PasswordGrant("ada@acme.com", "s3cret-1", "s3cret-2"),
        AuthorizationCodeGrant("s3cret-3", "s3cret-4", "https://airflow.acme.com/callback"),
        JwtBearerGrant("ada@acme.com", load_pem_private_key(key_pair[0].encode(), None)),
        App("https://acme.my.salesforce.com", "consumer-key", "s3cret-5"),
    ]

    assert "s3cret" not in repr(grants)
    assert "RSAPrivateKey" not in repr(grants)
