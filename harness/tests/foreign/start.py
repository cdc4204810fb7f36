"""Starts servers in folders and process groups of their own, and ends all of them."""
from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from catalogue import Server

READY_WITHIN = 60.0
SETUP_WITHIN = 120.0
ENDS_WITHIN = 5.0
TRIES = 3  # a port that was free may be taken before its server binds it
PATHS = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
GROUP = grp.getgrgid(USER.pw_gid).gr_name


class Failed(Exception):
    """A server did not start."""


def program(server: Server) -> str | None:
    """The path of the row's program, or None if it is not installed."""
    if "*" in server.program:
        return max(glob.glob(server.program), default=None)
    found = (shutil.which(name, path=PATHS) for name in server.program.split("|"))
    return next(filter(None, found), None)


def free_ports(count: int) -> list[int]:
    """Ports that are free for both TCP and UDP on loopback."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            tcp = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                udp.bind(tcp.getsockname())
                ports.append(tcp.getsockname()[1])
    return ports


def certificates(folder: Path) -> None:
    """A CA, and a certificate of it for localhost."""
    folder.mkdir()
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90"
    for command in (
        f"openssl req -x509 {key} -keyout ca.key -out ca.pem -subj '/CN=CA of test-foreign'"
        " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        f"openssl req -x509 {key} -keyout server.key -out server.pem -subj /CN=localhost -CA ca.pem -CAkey ca.key"
        " -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
        " -addext extendedKeyUsage=serverAuth",
    ):
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    give(folder)


def give(path: Path) -> None:
    """Makes the user whom servers run as the owner of a folder and of all in it."""
    if ROOT:
        for each in [path, *path.rglob("*")]:
            shutil.chown(each, USER.pw_name, GROUP)


class Running:
    """A row that was started: its folder, ports and processes."""

    def __init__(self, server: Server, folder: Path, tls: Path) -> None:
        self.server, self.folder, self.log = server, folder, folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []
        path = program(server) or ""
        self.words = {
            "dir": str(folder), "tls": str(tls), "program": path, "bin": os.path.dirname(path),
            "user": USER.pw_name, "group": GROUP,
        }

    def fill(self, template: str) -> str:
        """A command, an argument or a target with the words of this row in it."""
        return template.format(**self.words)

    def start(self) -> None:
        """Starts the row and waits until each of its ports accepts; other ports are tried where one was lost."""
        for left in reversed(range(TRIES)):
            try:
                return self.start_once()
            except Failed as failure:
                self.stop()
                if not left or not re.search("in use|EADDRINUSE", self.text(), re.IGNORECASE):
                    raise failure

    def start_once(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        ports = free_ports(len(self.server.ports))
        self.words |= {port.name: str(number) for port, number in zip(self.server.ports, ports)}
        for name, text in self.server.files.items():
            filled = re.sub(r"%(\w+)%", lambda match: self.words[match[1]], text)
            (self.folder / name).write_text(filled.lstrip("\n"))
        self.log.touch()
        give(self.folder)
        for command in self.server.setup:
            if self.spawn(command).wait(SETUP_WITHIN) != 0:
                raise Failed(f"{command}: {self.tail()}")
        self.processes.clear()
        for command in self.server.commands:
            self.spawn(command)
        self.wait_until_ready(set(ports))

    def spawn(self, command: str) -> subprocess.Popen[bytes]:
        """A process that leads a group and that the kernel ends when this script is gone."""
        words = ["setpriv", "--pdeathsig", "TERM", *shlex.split(self.fill(command))]
        environment = {"PATH": PATHS, "HOME": str(self.folder), "LANG": "C.UTF-8"}
        environment |= {name: self.fill(text) for name, text in self.server.env.items()}
        identity = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []} if ROOT else {}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **identity,
            )
        self.processes.append(process)
        return process

    def wait_until_ready(self, ports: set[int]) -> None:
        until = time.monotonic() + READY_WITHIN
        while ports := {port for port in ports if not accepts(port)}:
            if gone := self.gone():
                raise Failed(gone)
            if time.monotonic() > until:
                raise Failed(f"ports {sorted(ports)} do not accept after {READY_WITHIN:.0f} s: {self.tail()}")
            time.sleep(0.02)

    def gone(self) -> str | None:
        """What is to say of a process of this row that has ended."""
        for process in self.processes:
            if process.poll() is not None:
                return f"{process.args[3]} ended with {process.returncode}: {self.tail()}"
        return None

    def text(self) -> str:
        """What the row has logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self) -> str:
        """The last lines of the log, as one."""
        return " | ".join(self.text().strip().splitlines()[-3:]) or "nothing was logged"

    def stop(self) -> None:
        """Ends each process group: first by SIGTERM, then by SIGKILL."""
        for process in self.processes:
            signal_group(process, signal.SIGTERM)
        until = time.monotonic() + ENDS_WITHIN
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            signal_group(process, signal.SIGKILL)
            process.wait()
        self.processes.clear()


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def accepts(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False
