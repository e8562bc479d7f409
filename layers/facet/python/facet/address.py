"""Where a request comes from, as far as it can be believed."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from facet.http import Request
from facet.settings import settings

_SITE_BITS = 64  # one customer's IPv6 prefix: its addresses are free, so they count as one


def client_address(request: Request) -> str:
    """The address to hold a client to: the event's, or what trusted proxies say before it, read from the right.

    An IPv6 address counts by its /64, an IPv4-mapped one as IPv4. What is no address is taken as it is.
    """
    trusted = [ip_network(network) for network in settings().trusted_proxies]
    hops = [*request.headers.get("x-forwarded-for", "").split(","), request.source_ip]
    found = request.source_ip
    for hop in reversed(hops):
        address = _parsed(hop.strip())
        if address is None:
            break
        found = _site(address)
        if not any(address in network for network in trusted):
            break
    return found


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _site(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address.packed, _SITE_BITS), strict=False))
