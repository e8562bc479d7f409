"""A client is held to the address that can be believed, and to no other."""

import pytest

from facet.address import client_address
from facet.http import Headers, Request
from facet.settings import SettingsError


def asked(source_ip: str, forwarded: str | None = None) -> Request:
    headers = [] if forwarded is None else [("x-forwarded-for", forwarded)]
    return Request("GET", "/", headers=Headers(headers), source_ip=source_ip)


@pytest.mark.parametrize("forwarded", [None, "198.51.100.7", "10.0.0.1, 198.51.100.7"])
def test_without_trusted_proxies_the_events_address_counts(
    bare_environment: pytest.MonkeyPatch, forwarded: str | None
) -> None:
    assert client_address(asked("203.0.113.9", forwarded)) == "203.0.113.9"


@pytest.mark.parametrize(
    ("source_ip", "forwarded", "found"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),  # the first is the client's word
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fd00::1", "2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
    ],
)
def test_a_trusted_proxy_is_believed_about_the_hop_before_it(
    bare_environment: pytest.MonkeyPatch, source_ip: str, forwarded: str | None, found: str
) -> None:
    bare_environment.setenv("TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8")
    assert client_address(asked(source_ip, forwarded)) == found


def test_the_addresses_of_one_ipv6_site_count_as_one(bare_environment: pytest.MonkeyPatch) -> None:
    assert client_address(asked("2001:db8:1:2::7")) == client_address(asked("2001:db8:1:2:ffff::8"))
    assert client_address(asked("2001:db8:1:2::7")) != client_address(asked("2001:db8:1:3::7"))


def test_what_is_no_address_is_taken_as_it_is(bare_environment: pytest.MonkeyPatch) -> None:
    assert client_address(asked("")) == ""


def test_a_proxy_that_is_no_network_is_a_wrong_setting(bare_environment: pytest.MonkeyPatch) -> None:
    bare_environment.setenv("TRUSTED_PROXIES", "10.0.0.0/8,proxy.internal")
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        client_address(asked("10.0.0.1"))
