import pytest

from registry import names
from saga_project.shared import rules


@pytest.mark.parametrize(
    "name", ["authentication", "payment-service", "api_gateway", "A.1", "9lives", "a" * 128]
)
def test_takes_what_the_rule_allows(name):
    assert names.check_service_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "my service", "my:service", "-a", ".a", "_a", "a/b", "a" * 129, "é", "a\n", "a\x00", "１"],
)
def test_refuses_any_other_name(name):
    with pytest.raises(rules.InvalidServiceName):
        names.check_service_name(name)


@pytest.mark.parametrize("name", ["register", "heartbeat", "watch", "export"])
def test_keeps_reserved_words_for_routes(name):
    with pytest.raises(rules.InvalidServiceName):
        names.check_service_name(name)


@pytest.mark.parametrize("version", ["1.0.0", "v1.2", "1.0.0-rc.1+build_5", "nightly"])
def test_takes_any_kind_of_version(version):
    assert names.check_version(version) == version


@pytest.mark.parametrize("version", ["", "..", "1..2", "../etc", "1/2", "1 2", "-1", "a" * 129])
def test_refuses_versions_that_could_be_paths(version):
    with pytest.raises(rules.InvalidVersion):
        names.check_version(version)


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8001", "https://a.example/x?y=1", "http://[::1]:80/", "http://10.0.0.1"],
)
def test_takes_web_addresses(url):
    assert names.check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8001",
        "ftp://a.example",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user:secret@a.example",
        "http://a.example:99999",
        "http://a.example:0",
        "http://a.example:port",
        "http://[::1",
        "http://a b",
        "http://a.example/\x00",
        "http://a.example\\@b.example",
        "http://a.example/" + "x" * 2048,
    ],
)
def test_refuses_what_is_no_web_address(url):
    with pytest.raises(rules.InvalidServiceUrl):
        names.check_url(url)
