"""Records what the running kernel answers to writes to /proc/self/timens_offsets into data/offsets.json. Needs root and CONFIG_TIME_NS.

    python3 test/record-offsets.py > test/data/offsets.json

A case is a new process in a new time namespace (frozen: a child of it that has joined), and its writes, one after the other to one file.
Bytes are text in Latin-1.
"""
import ctypes
import errno
import json
import os
import struct
import sys
import time

CLONE_NEWTIME = 0x80
CAP_SYS_ADMIN, CAP_SYS_TIME = 21, 25
CLOCK_BOOTTIME = 7
OFFSETS = "/proc/self/timens_offsets"
libc = ctypes.CDLL(None, use_errno=True)

MAX = 9223372036
HALF = MAX // 2

ONE = [
    # What a line may look like.
    "", "\n", " ", "\n\n", "monotonic 5 6\n", "monotonic 5 6", "boottime 5 6\n", "1 5 6\n", "7 5 6\n", "monotonic -5 6\n",
    "   monotonic    5    6   \n", "\tmonotonic\t5\v6\f\n", "\xa0monotonic\xa05\xa06\n", "monotonic 5 6\r\n", "\rmonotonic 5 6\n",
    "monotonic 5 6 7\n", "monotonic 5 6junk\n", "monotonic 5 6.5\n", "monotonic 5 6-\n", "monotonic 5 0x10\n", "monotonic 0x10 5\n",
    "monotonic 010 09\n", "monotonic 00000000000000000000000000005 0000000000000000000006\n",
    "monotonic\n", "monotonic 5\n", "monotonic 5 \n", "monotonic 5.5 6\n", "monotonic 5,6\n", "monotonic +5 6\n", "monotonic 5 +6\n",
    "monotonic - 5 6\n", "monotonic --5 6\n", "monotonic -0 0\n", "monotonic - \n", "monotonic a 6\n", "5 6\n",
    # Clocks, of at most nine characters.
    "realtime 5 6\n", "0 5 6\n", "4 5 6\n", "6 5 6\n", "9 5 6\n", "11 5 6\n", "01 5 6\n", "1.0 5 6\n", "15 6\n", "7 5\n", "tai 5 6\n",
    "Monotonic 5 6\n", "MONOTONIC 5 6\n", "monotonicx 5 6\n", "monotonic5 6\n", "monotonic-5 6\n", "monotonic5-6\n", "monotonic5junk 6\n",
    "monotoni 5 6\n", "boottime5 6\n", "boottimex 5 6\n", "boottime_ 5 6\n", "bootti me 5 6\n", "monotonic_raw 5 6\n", "\x00", "\x00monotonic 5 6\n",
    # Nanoseconds.
    "monotonic 5 0\n", "monotonic 5 999999999\n", "monotonic 5 1000000000\n", "monotonic 5 -1\n", "monotonic -5 -1\n",
    "monotonic 5 4294967296\n", "monotonic 5 9223372036854775807\n", "monotonic 5 9223372036854775808\n",
    "monotonic 5 18446744073709551615\n", "monotonic 5 18446744072709551616\n", "monotonic 5 18446744073709551616\n",
    "monotonic 5 18446744073709551622\n", "monotonic 99999999999 18446744073709551615\n", "monotonic -10000000 18446744073709551615\n",
    # Seconds.
    f"monotonic {MAX} 0\n", f"monotonic {MAX + 1} 0\n", f"monotonic -{MAX} 0\n", f"monotonic -{MAX + 1} 0\n",
    f"monotonic {HALF} 0\n", "monotonic 4611600000 0\n", "monotonic 4611600000 999999999\n", "boottime 4611600000 0\n", f"boottime {HALF} 0\n",
    "monotonic -10000000 0\n", "boottime -10000000 0\n", "monotonic -10000000 999999999\n", "monotonic -1 0\n", "boottime -1 0\n",
    "boottime -1 999999999\n", "monotonic 9223372036854775807 0\n", "monotonic -9223372036854775808 0\n",
    "monotonic 9223372036854775808 0\n", "monotonic -9223372036854775809 0\n", "monotonic 18446744073709551615 0\n",
    "monotonic 18446744073709551616 0\n", "monotonic 18446744073709551621 0\n", "monotonic -18446744073709551611 0\n",
    "monotonic 36893488147419103237 0\n", "monotonic -36893488147419103231 6\n", "monotonic 99999999999999999999999999999999 0\n",
    # Several lines.
    "monotonic 5 6\nboottime 7 8\n", "monotonic 5 6\nboottime 7 8", "boottime 7 8\nmonotonic 5 6\n", "monotonic 5 6\nmonotonic 7 8\n",
    "monotonic 5 6\n1 7 8\n", "monotonic 5 6\n\n", "monotonic 5 6\n\nboottime 7 8\n", "monotonic 5 6\n \n", "\nmonotonic 5 6\n",
    "monotonic 5 6\nboottime 7 8\n\n", "monotonic 5 6\nboottime 7 8\nx", "monotonic 1 2\nboottime 3 4\nmonotonic 5 6\n",
    "monotonic 5 6\nboottime 7 8\n\x00", "monotonic 5 6\nboottime 7 8\n\x00monotonic 9 9\n", "monotonic 5 6\x00boottime 7 8\n",
    "monotonic 5 6\n\x00boottime 7 8\n", "monotonic 5\n6\nboottime 7 8\n", "monotonic 5 6\nrealtime 7 8\n", "monotonic 5 6\nboottime 7\n",
    f"monotonic 5 6\nboottime {MAX + 1} 0\n", f"monotonic {MAX + 1} 0\nboottime 7 8\n", "monotonic 5 6\nboottime -10000000 0\n",
    f"monotonic {MAX + 1} 0\nrealtime 7 8\n", "monotonic 5 6\nboottime 7 18446744073709551615\n",
    f"monotonic {MAX + 1} 0\nboottime 7 18446744073709551615\n", "monotonic 5 6;boottime 7 8\n",
    # Lengths: less than a page.
    "monotonic 5 6" + " " * 4081 + "\n", "monotonic 5 6" + " " * 4082 + "\n", "monotonic 5 6" + "x" * 4082, "x" * 4095, "x" * 4096, "\n" * 5000,
]

MANY = [
    ["monotonic 5 6\n", "boottime 7 8\n"],
    ["monotonic 5 6\n", "monotonic 7 8\n", "boottime -1 5\n"],
    ["monotonic 5 6\n", "monotonic 7\n"],
    ["monotonic 5 6\nboottime 7 8\n", f"monotonic 9 9\nboottime {MAX} 0\n"],
    ["monotonic 5 6\nboottime 7 8\n", "monotonic 0 0\nboottime 0 0\n"],
]

FROZEN = ["monotonic 5 6\n", "monotonic 0 0\n", "", "realtime 5 6\n", f"monotonic {MAX + 1} 0\n", "monotonic -10000000 0\n", "monotonic 5 1000000000\n"]


def unshare():
    if libc.unshare(CLONE_NEWTIME) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def drop(capability):
    """Takes a capability out of the permitted, effective and inheritable sets."""
    header = struct.pack("Ii", 0x20080522, 0)
    sets = ctypes.create_string_buffer(24)
    libc.capget(header, sets)
    words = list(struct.unpack("6I", sets.raw))
    for k in range(3):
        words[capability // 32 * 3 + k] &= ~(1 << capability % 32)
    if libc.capset(header, struct.pack("6I", *words)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def answer(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


def now(clock):
    return list(divmod(time.clock_gettime_ns(clock), 1_000_000_000))


def write(fd, text):
    return answer(lambda: os.write(fd, text.encode("latin-1")))


def offsets():
    with open(OFFSETS, encoding="latin-1") as file:
        return file.read()


def in_child(body):
    """What `body` returns, run in a process of its own."""
    read, written = os.pipe()
    if os.fork() == 0:
        try:
            os.write(written, json.dumps(body()).encode())
        finally:
            os._exit(0)
    os.close(written)
    with os.fdopen(read) as file:
        result = file.read()
    os.wait()
    return json.loads(result)


def case(writes, frozen=False):
    clocks = {"monotonic": now(time.CLOCK_MONOTONIC), "boottime": now(CLOCK_BOOTTIME)}

    def ask():
        fd = os.open(OFFSETS, os.O_WRONLY)
        return [{"text": text, "answer": write(fd, text)} for text in writes], offsets()

    def body():
        unshare()
        return in_child(ask) if frozen else ask()

    answers, text = in_child(body)
    return {"now": clocks, "frozen": frozen, "writes": answers, "reads": text}


def at(position):
    """One write at a position other than the beginning of the file."""
    def body():
        unshare()
        fd = os.open(OFFSETS, os.O_RDWR)
        position(fd)
        return {"position": os.lseek(fd, 0, os.SEEK_CUR), "answer": write(fd, "monotonic 5 6\n")}

    return in_child(body)


def pwrite(position):
    def body():
        unshare()
        fd = os.open(OFFSETS, os.O_WRONLY)
        return answer(lambda: os.pwrite(fd, b"monotonic 5 6\n", position))

    return in_child(body)


def privileges():
    line = "monotonic 5 6\n"

    def opened(before, lose):
        def body():
            unshare()
            fd = os.open(OFFSETS, os.O_WRONLY) if before else None
            drop(lose)
            fd = os.open(OFFSETS, os.O_WRONLY) if fd is None else fd
            return write(fd, line)

        return in_child(body)

    return [
        {"lost": "CAP_SYS_TIME", "opened": when, "answer": opened(when == "before", CAP_SYS_TIME)} for when in ("before", "after")
    ] + [{"lost": "CAP_SYS_ADMIN", "opened": "after", "answer": opened(False, CAP_SYS_ADMIN)}]


def main():
    cases = [case([text]) for text in ONE] + [case(texts) for texts in MANY] + [case([text], frozen=True) for text in FROZEN]
    result = {
        "kernel": os.uname().release.split("-")[0],
        "cases": cases,
        "positions": [at(lambda fd: os.read(fd, 100)), at(lambda fd: os.lseek(fd, 10, os.SEEK_SET)), at(lambda fd: os.lseek(fd, 0, os.SEEK_SET))],
        "pwrite": [{"position": position, "answer": pwrite(position)} for position in (0, 1)],
        "privileges": privileges(),
    }
    json.dump(result, sys.stdout, indent=1)
    print()


main()
