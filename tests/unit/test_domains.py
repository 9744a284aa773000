import pytest

from airflow_provider_salesforce_export.exceptions import ConfigurationError, ForeignInstanceError
from airflow_provider_salesforce_export.salesforce.domains import (
    checked_instance_url,
    is_my_domain,
    jwt_audience,
    login_url,
)

LOGIN = "https://login.salesforce.com"
LOCAL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        (None, "https://login.salesforce.com"),
        ("", "https://login.salesforce.com"),
        (" Login ", "https://login.salesforce.com"),
        ("test", "https://test.salesforce.com"),
        ("login.salesforce.com", "https://login.salesforce.com"),
        ("https://test.salesforce.com/", "https://test.salesforce.com"),
        ("acme", "https://acme.my.salesforce.com"),
        ("acme-corp", "https://acme-corp.my.salesforce.com"),
        ("acme.my", "https://acme.my.salesforce.com"),
        ("acme--uat", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme--uat.sandbox", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme--uat.sandbox.my", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme-dev-ed.develop", "https://acme-dev-ed.develop.my.salesforce.com"),
        ("acme.scratch", "https://acme.scratch.my.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("Acme.my.Salesforce.com", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme--uat.cs42.my.salesforce.com", "https://acme--uat.cs42.my.salesforce.com"),
        ("acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("acme.my.sfcrmproducts.cn", "https://acme.my.sfcrmproducts.cn"),
        ("https://na1.salesforce.com", "https://na1.salesforce.com"),
        (" https://acme.my.salesforce.com/ ", "https://acme.my.salesforce.com"),
        ("acme.lightning.force.com", "https://acme.my.salesforce.com"),
        ("https://acme--uat.sandbox.lightning.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://gateway.acme.com:8443", "https://gateway.acme.com:8443"),
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
        "http://localhost.evil.com",
        "http://acme.lightning.force.com",
        "ftp://acme",
        "https://",
        "https://a@b.com",
        "https://a.com/x",
        "https://a.com?x=1",
        "https://a.com#x",
        "https://a.com:port",
        "https://[::1",
        "https://evil.com\\.salesforce.com",
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


@pytest.mark.parametrize(
    ("url", "is_one_orgs"),
    [
        ("https://login.salesforce.com", False),
        ("https://test.salesforce.com", False),
        ("https://login.salesforce.mil", False),
        ("https://acme.my.salesforce.com", True),
        ("https://login.my.salesforce.com", True),
        (LOCAL, True),
    ],
)
def test_the_shared_login_hosts_are_told_from_my_domain(url, is_one_orgs):
    assert is_my_domain(url) is is_one_orgs


@pytest.mark.parametrize(
    ("url", "audience"),
    [
        ("https://login.salesforce.com", "https://login.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "https://login.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.scratch.my.salesforce.com", "https://test.salesforce.com"),
        ("https://acme--uat.cs42.my.salesforce.com", "https://test.salesforce.com"),
        ("https://cs42.salesforce.com", "https://test.salesforce.com"),
        ("https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        (LOCAL, LOCAL),
    ],
)
def test_an_assertion_is_for_the_host_that_knows_the_user(url, audience):
    assert jwt_audience(url) == audience


@pytest.mark.parametrize(
    ("instance", "login", "checked"),
    [
        ("https://acme.my.salesforce.com", LOGIN, "https://acme.my.salesforce.com"),
        ("https://acme.my.salesforce.com/", LOGIN, "https://acme.my.salesforce.com"),
        ("https://Acme.My.Salesforce.Com", LOGIN, "https://Acme.My.Salesforce.Com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com", None),
        ("https://usa2s.sfdc-abc.salesforce.com", LOGIN, None),
        ("https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil", None),
        ("https://acme.cloudforce.com", LOGIN, None),
        ("https://acme.my.sfcrmproducts.cn", "https://acme.my.sfcrmproducts.cn", None),
        ("https://gateway.acme.com:8443", "https://gateway.acme.com:8443", None),
        ("http://127.0.0.1:8080", LOCAL, None),
        ("http://localhost:9090", LOCAL, None),
    ],
)
def test_a_token_may_go_to_salesforce_and_to_the_login_host(instance, login, checked):
    assert checked_instance_url(instance, login) == (checked or instance)


@pytest.mark.parametrize(
    ("instance", "login"),
    [
        ("http://acme.my.salesforce.com", LOGIN),
        ("https://evil.com", LOGIN),
        ("https://salesforce.com.evil.com", LOGIN),
        ("https://evilsalesforce.com", LOGIN),
        ("https://evil.com/.salesforce.com", LOGIN),
        ("https://evil.com?.salesforce.com", LOGIN),
        ("https://evil.com#.salesforce.com", LOGIN),
        ("https://evil.com\\.salesforce.com", LOGIN),
        ("https://me@acme.my.salesforce.com", LOGIN),
        ("https://acme.my.salesforce.com@evil.com", LOGIN),
        ("https://acme.my.salesforce.com/path", LOGIN),
        ("http://127.0.0.1:8080", LOGIN),
        ("https://127.0.0.1", LOGIN),
        ("http://192.168.0.1", LOCAL),
        ("http://gateway.acme.com", "https://gateway.acme.com"),
        ("ftp://acme.my.salesforce.com", LOGIN),
        ("acme.my.salesforce.com", LOGIN),
        ("https://[::1", LOGIN),
        ("", LOGIN),
        (None, LOGIN),
        (7, LOGIN),
    ],
)
def test_a_token_goes_nowhere_else(instance, login):
    with pytest.raises(ForeignInstanceError, match=r"not Salesforce's.*neither used nor stored"):
        checked_instance_url(instance, login)
