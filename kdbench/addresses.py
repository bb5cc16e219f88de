"""Opens addresses on the network: through the proxies of the environment, and those of this machine itself without."""

import ipaddress
from urllib.request import BaseHandler, OpenerDirector, ProxyHandler, build_opener


def opener_for(host: str | None, *handlers: BaseHandler) -> OpenerDirector:
    """Return what opens addresses on a host: a proxy does not know this machine's own addresses.

    Args:
        host: the name or the number in the address.
        handlers: that take the place of urllib's own of their kind.
    """
    return build_opener(*([ProxyHandler({})] if is_this_machine(host) else []), *handlers)


def is_this_machine(host: str | None) -> bool:
    """Return whether a host is this machine itself, by its name or number."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
