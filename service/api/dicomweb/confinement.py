"""What a process that decodes pixels may no longer do: codecs are C, and their input comes from anywhere.

The kernel refuses it (seccomp, prctl(2)) what would reach beyond itself: files, sockets, other programs.
It keeps what it was handed: the file on its standard input, the pipe on its standard output.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2

_LOAD_WORD = 0x20
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_AT_LEAST = 0x35
_RETURN = 0x06

_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | 1
"""SECCOMP_RET_ERRNO with EPERM."""

_ARCHITECTURE_AT, _NUMBER_AT = 4, 0
"""Offsets in struct seccomp_data."""

_X32_CALLS_FROM = 0x40000000
"""The x32 interface of x86_64 has the same calls under other numbers; refused as a whole."""

REFUSED_CALLS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "x86_64": {
            "open": 2,
            "socket": 41,
            "connect": 42,
            "accept": 43,
            "sendto": 44,
            "sendmsg": 46,
            "bind": 49,
            "listen": 50,
            "socketpair": 53,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "kill": 62,
            "truncate": 76,
            "rename": 82,
            "mkdir": 83,
            "creat": 85,
            "link": 86,
            "unlink": 87,
            "symlink": 88,
            "chmod": 90,
            "ptrace": 101,
            "openat": 257,
            "mkdirat": 258,
            "unlinkat": 263,
            "renameat": 264,
            "linkat": 265,
            "symlinkat": 266,
            "accept4": 288,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "renameat2": 316,
            "execveat": 322,
            "io_uring_setup": 425,
            "openat2": 437,
        },
        "aarch64": {
            "mkdirat": 34,
            "unlinkat": 35,
            "symlinkat": 36,
            "linkat": 37,
            "renameat": 38,
            "truncate": 45,
            "openat": 56,
            "ptrace": 117,
            "kill": 129,
            "socket": 198,
            "socketpair": 199,
            "bind": 200,
            "listen": 201,
            "accept": 202,
            "connect": 203,
            "sendto": 206,
            "sendmsg": 211,
            "execve": 221,
            "accept4": 242,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "renameat2": 276,
            "execveat": 281,
            "io_uring_setup": 425,
            "openat2": 437,
        },
    }
)
"""System calls by name and number (asm/unistd.h)."""

_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* of linux/audit.h."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What the process may use up.

    Parameters
    ----------
    memory_bytes
        Address space.
    cpu_s
        Seconds of processor time.
    """

    memory_bytes: int
    cpu_s: int


def limit_resources(limits: ResourceLimits) -> None:
    """Bound memory, time and files of this process; it is killed, or its allocations fail, beyond."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse_system_calls() -> bool:
    """Have the kernel refuse files, sockets and programs from now on; False where it cannot."""
    machine = platform.machine()
    calls = REFUSED_CALLS.get(machine)
    if calls is None:
        return False
    program = _filter(_AUDIT_ARCHITECTURES[machine], sorted(calls.values()))
    code = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    allowed = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return allowed and bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0) == 0)


def _filter(architecture: int, refused: list[int]) -> bytes:
    """Return the classic BPF program: refuse the calls named and those of foreign interfaces."""
    body = [
        _statement(_JUMP_IF_EQUAL, number, len(refused) - index, 0) for index, number in enumerate(refused)
    ]
    return b"".join(
        [
            _statement(_LOAD_WORD, _ARCHITECTURE_AT),
            _statement(_JUMP_IF_EQUAL, architecture, 1, 0),
            _statement(_RETURN, _REFUSE),
            _statement(_LOAD_WORD, _NUMBER_AT),
            _statement(_JUMP_IF_AT_LEAST, _X32_CALLS_FROM, len(refused) + 1, 0),
            *body,
            _statement(_RETURN, _ALLOW),
            _statement(_RETURN, _REFUSE),
        ]
    )


def _statement(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
