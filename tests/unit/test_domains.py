import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError
from airflow_provider_salesforce_export.salesforce.domains import login_url


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        (None, "https://login.salesforce.com"),
        ("", "https://login.salesforce.com"),
        ("test", "https://test.salesforce.com"),
        ("acme", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        (" https://acme.my.salesforce.com/ ", "https://acme.my.salesforce.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_every_spelling_of_a_login_domain(domain, url):
    assert login_url(domain) == url


@pytest.mark.parametrize(
    "domain",
    [
        "http://acme.my.salesforce.com",
        "http://127.0.0.1.evil.com",
        "ftp://acme",
        "https://",
        "https://a@b.com",
        "https://a.com/x",
        "acme corp",
    ],
)
def test_an_insecure_or_strange_domain_is_refused(domain):
    with pytest.raises(ConfigurationError):
        login_url(domain)


def test_a_password_in_front_of_the_host_is_not_shown():
    with pytest.raises(ConfigurationError) as caught:
        login_url("https://me:s3cret@acme.my.salesforce.com")
    assert "s3cret" not in str(caught.value)
