"""Telling the service manager: systemd's `Type=notify`, in which a datagram to the socket it names says what is so.

Source: sd_notify(3). Without NOTIFY_SOCKET in the environment nothing is sent.
"""

import contextlib
import os
import socket


def ready() -> None:
    """Requests are answered from now on."""
    _tell("READY=1")


def stopping() -> None:
    """No new ones are, and those under way come to their end."""
    _tell("STOPPING=1")


def _tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # A name with `@` lies in the abstract namespace, whose names begin with a zero byte.
    place = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.sendto(state.encode(), place)
