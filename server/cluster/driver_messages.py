"""What the server and the Ray driver tell each other, as lines of JSON."""

import msgspec


class DriverConfig(msgspec.Struct, frozen=True):
    """The cluster to join: `auto`, or the address of its head.

    The agents listen on `port`, 0: any, and their connections prove that they know `secret`.
    """

    address: str
    secret: bytes
    port: int = 0


class NodeReport(msgspec.Struct, frozen=True):
    """A node of the cluster, and where its agent listens; the port is 0 while there is none."""

    id: str
    name: str
    host: str
    port: int


class DriverReport(msgspec.Struct, frozen=True):
    """The nodes besides the driver's own; or why there is no cluster, in one sentence."""

    nodes: tuple[NodeReport, ...] = ()
    refusal: str = ""
