"""What a row of the table of servers is made of."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Probe:
    """One target for the harness and what its report must say: a regular expression that finds the protocol or the server.
    `or_unknown`: that the protocol is not known (exit code 4) is a right answer too."""

    target: str
    named: str
    args: tuple[str, ...] = ()
    or_unknown: bool = False


@dataclass(frozen=True)
class Port:
    """A TCP port: its name in templates, the regular expression that finds its protocol (none: it is not probed), and
    whether it is spoken inside TLS or HTTP, which `tcp://` does not ask for."""

    name: str
    named: str
    tls: bool = False
    http: bool = False

    def probes(self) -> list[Probe]:
        """The questions that every port is asked, whatever its row adds."""
        if not self.named:
            return []
        trust = ("--ca", "{tls}/ca.pem")
        outside = "|".join([self.named] + ["TLS"] * self.tls + ["HTTP"] * self.http)
        asked = [
            Probe(f"127.0.0.1:{{{self.name}}}", outside, trust),
            Probe(f"tcp://127.0.0.1:{{{self.name}}}", outside, or_unknown=self.tls or self.http),
        ]
        if self.tls:
            asked.append(Probe(f"tls://localhost:{{{self.name}}}", self.named, trust))
        return asked


@dataclass(frozen=True)
class Server:
    """One server: where to get it, how to start it, and what to ask it beyond what each port is asked.

    `program` is a name, several with `|` between them, or a pattern with `*`. Commands, environment and targets are
    format strings: `{dir}` is the folder of the row, `{tls}` that of the certificates, `{program}` the program and
    `{bin}` its folder, `{user}` and `{group}` whom it runs as, `{NAME}` a port of the row. Files hold the same words as
    `%NAME%`, so that configurations keep their braces.
    """

    name: str
    packages: tuple[str, ...]
    program: str
    ports: tuple[Port, ...]
    commands: tuple[str, ...]
    probes: tuple[Probe, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def asked(self) -> list[Probe]:
        """All probes of the row."""
        return [probe for port in self.ports for probe in port.probes()] + list(self.probes)
