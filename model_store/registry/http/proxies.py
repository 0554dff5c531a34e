"""Proxy selection: HTTP_PROXY, HTTPS_PROXY and NO_PROXY for one request."""

import ipaddress

from model_store.registry.config import Proxies


def proxy_for(proxies: Proxies, scheme: str, host: str, port: int) -> str:
    """Return the URL of the proxy for a request, empty for a direct connection.

    This machine is never reached through a proxy. An exempt entry is `*`, a domain (with its
    subdomains), an IP address or a network; all but the last may have a port.
    """
    proxy = proxies.https if scheme == "https" else proxies.http
    if (
        not proxy
        or _is_this_machine(host)
        or any(_matches(entry, host, port) for entry in proxies.exempt)
    ):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    name, colon, entry_port = entry.lower().rpartition(":")
    if colon and entry_port.isdigit():
        if int(entry_port) != port:
            return False
    else:
        name = entry.lower()
    domain = name.strip("[]").removeprefix("*").removeprefix(".")
    return host.lower() == domain or host.lower().endswith("." + domain)
