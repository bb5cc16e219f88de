"""Opens addresses on the network: through the proxies of the environment, and those of this machine itself without."""

import ipaddress
from urllib.request import OpenerDirector, ProxyHandler, build_opener


def opener_for(host: str | None) -> OpenerDirector:
    """Return what opens addresses on a host, of which the name or the number is given.

    A proxy does not know this machine's own addresses.
    """
    return build_opener(*([ProxyHandler({})] if is_this_machine(host) else []))


def is_this_machine(host: str | None) -> bool:
    """Return whether a host is this machine itself, by its name or number."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
