"""How does a child of the supervisor start? It makes its arrangements, then becomes the program it was started for.

Run as a file, `launch.py PARENT SIGNAL OWNER PROGRAM ARGUMENT...`: doing this between fork and exec in the supervisor
itself would not be safe beside its threads. It takes about 10 ms.

PARENT is the pid of the supervisor. Should that die in whatever way, Linux sends SIGNAL, so that nothing is orphaned;
elsewhere `tether` sees to it. OWNER is a folder, and the program runs as the user who owns it: PostgreSQL refuses to
run as root. An OWNER of `-` changes nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys

# From <sys/prctl.h> and <linux/capability.h>.
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def main() -> None:
    parent, signal, owner, *command = sys.argv[1:]
    if owner != "-":
        _become_owner_of(owner, command[0])
    # After the change of user, which would undo it.
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, int(signal))
    if os.getppid() != int(parent):
        sys.exit("the supervisor is gone")
    os.execv(command[0], command)


def _become_owner_of(folder: str, program: str) -> None:
    found = os.stat(folder)
    if found.st_uid == os.geteuid():
        return
    if sys.platform == "linux":
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)
    # Where we are may be closed to this user.
    os.chdir("/")
    if sys.platform == "linux":
        # Root's home is closed to others. A program or data inside it can be reached with this one capability kept.
        _keep_only(0 if os.access(program, os.X_OK) and os.access(folder, os.X_OK) else 1 << CAP_DAC_OVERRIDE)


def _keep_only(capabilities: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted and inheritable, first for capabilities 0 to 31, then for the rest.
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, capabilities, 0, 0, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if capabilities:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    main()
