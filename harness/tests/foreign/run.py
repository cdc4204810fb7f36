#!/usr/bin/env python3
"""Probes healthy servers of others: none may be called broken, and each must be named.

    run.py [NAME...]     start and probe the servers whose names begin so, or all
    run.py --list        the table of servers and probes
    run.py --packages    the packages that they need (Debian and Ubuntu)

Each server runs on loopback, on free ports, in a temporary folder with a configuration of its own, and as `nobody` if
this script runs as root. Needs Python 3.11, openssl and setpriv. The last line is `N passed, N failed, N skipped`; the
exit code is 1 if a probe failed or fewer than ten servers could be started.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from catalogue import Probe, Server
from servers import SERVERS
from start import Failed, Running, certificates, program

AT_LEAST = 10
AT_ONCE = 3
PROBED_WITHIN = 90.0
UNKNOWN = 4  # the exit code of a probe that nothing failed and that could not tell
ROOT = Path(__file__).resolve().parents[3]
# what a server writes to its log when a probe has hurt it; some also write a traceback about a request that is not HTTP,
# which is what a port for HTTP gets from `tcp://`
CRASHED = re.compile(r"terminate called|^panic:|segfault|core dumped|assertion .*failed", re.IGNORECASE | re.MULTILINE)
HURT = re.compile(f"Traceback|{CRASHED.pattern}", CRASHED.flags)
# neither the owner of a port nor a list of what was asked says what was recognised on the wire
NO_NAME = re.compile(r"\bpid \d+ \([^()]*\)|\(asked: [^()]*\)")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    result: str
    server: str
    target: str
    seconds: float
    said: str

    def __str__(self) -> str:
        return f"{self.result:<5} {self.server:<18} {self.target:<46} {self.seconds:>5.1f} s  {self.said}"


def judge(report: dict, code: int, probe: Probe) -> list[str]:
    """What is wrong with the report of a probe of a healthy server."""
    unknown = probe.or_unknown and code == UNKNOWN
    wrong = [] if code == 0 or unknown else [f"exit code {code}"]
    findings = [finding for each in report["reports"] for finding in each["findings"]]
    wrong += [f"accused: {finding['cause']}" for finding in findings]
    checks = [check for each in report["reports"] for check in each["checks"]]
    wrong += [f"{check['id']} failed" for check in checks if check["status"] == "fail"]
    said = [report["verdict"]["status"], report["verdict"]["sentence"]]
    said = [said] + [[check["status"], check["message"]] for check in checks if not check["id"].startswith("process.")]
    # what is unknown lists names too, of what was asked for in vain
    named = "\n".join(text for status, text in said if status in ("pass", "warn"))
    if not unknown and not re.search(probe.named, NO_NAME.sub("", named)):
        wrong.append(f"not named ({probe.named})")
    return wrong


def ask(harness: Path, running: Running, probe: Probe) -> Row:
    """Probes one target once."""
    target = running.fill(probe.target)
    report = running.folder / "report.json"
    report.unlink(missing_ok=True)
    before, began = len(running.text()), time.monotonic()
    command = [harness, "probe", "--report", f"json={report}", *map(running.fill, probe.args), target]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBED_WITHIN, cwd=running.folder)
    except subprocess.TimeoutExpired:
        return Row("FAIL", running.server.name, target, PROBED_WITHIN, "the probe did not end")
    seconds = time.monotonic() - began
    if not report.exists():
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Row("FAIL", running.server.name, target, seconds, f"exit code {done.returncode}: {said}")
    data = json.loads(report.read_text())
    wrong = judge(data, done.returncode, probe)
    if gone := running.gone():
        wrong.append(f"the server did not survive it: {gone}")
    if hurt := (CRASHED if probe.or_unknown else HURT).search(running.text()[before:]):
        wrong.append(f"the server's log says {hurt[0]!r}")
    said = ": ".join(["; ".join(wrong)] * bool(wrong) + [data["verdict"]["sentence"]])
    return Row("FAIL" if wrong else "PASS", running.server.name, target, seconds, said)


def probe_all(harness: Path, running: Running) -> list[Row]:
    """Asks one server after the other question, so that its log tells which one hurt."""
    return [ask(harness, running, probe) for probe in running.server.asked()]


def start(server: Server, top: Path, stack: ExitStack) -> Running | Row:
    """A running server, or the line that says why there is none."""
    if program(server) is None:
        said = f"skipped: {server.program} is not installed (package {server.packages[0]})"
        return Row("SKIP", server.name, "", 0.0, said)
    running = Running(server, top / re.sub(r"\W", "-", server.name), top / "tls")
    stack.callback(running.stop)
    began = time.monotonic()
    try:
        running.start()
    except (Failed, OSError, subprocess.TimeoutExpired) as failure:
        return Row("FAIL", server.name, "", time.monotonic() - began, f"did not start: {failure}")
    return running


def test(harness: Path, servers: list[Server], at_least: int) -> int:
    """Starts and probes the servers, prints the table, and gives the exit code."""
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="foreign-")))
        top.chmod(0o755)
        certificates(top / "tls")
        started = [start(server, top, stack) for server in servers]
        rows = [row for row in started if isinstance(row, Row)]
        running = [each for each in started if isinstance(each, Running)]
        print(*rows, sep="\n", end="\n" if rows else "", flush=True)
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        for found in pool.map(lambda each: probe_all(harness, each), running):
            print(*found, sep="\n", flush=True)
            rows += found
        lost = [Row("FAIL", each.server.name, "", 0.0, f"at the end: {gone}") for each in running if (gone := each.gone())]
    print(*lost, sep="\n", end="\n" if lost else "")
    rows += lost
    if len(running) < at_least:
        rows.append(Row("FAIL", "all", "", 0.0, f"{len(running)} servers started, at least {at_least} are needed"))
        print(rows[-1])
    count = {result: sum(row.result == result for row in rows) for result in ("PASS", "FAIL", "SKIP")}
    print(f"\n{len(running)} servers of others, {sum(len(each.server.ports) for each in running)} ports")
    print(f"{count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    return 1 if count["FAIL"] else 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("name", nargs="*", help="beginning of the name of a server")
    options.add_argument("--harness", type=Path, default=ROOT / "target/debug/sidetone-harness", help="the program to test")
    options.add_argument("--list", action="store_true", help="print the table and start nothing")
    options.add_argument("--packages", action="store_true", help="print the packages that the servers need")
    given = options.parse_args()
    servers = [server for server in SERVERS if not given.name or server.name.startswith(tuple(given.name))]
    if given.packages:
        print(*sorted({package for server in servers for package in server.packages}), sep="\n")
        return 0
    if given.list:
        for server in servers:
            print(server.name, *(f"    {probe.target}  {' '.join(probe.args)}" for probe in server.asked()), sep="\n")
        return 0
    if not servers:
        options.error(f"no server's name begins with {' or '.join(given.name)}")
    if not given.harness.exists():
        options.error(f"{given.harness} does not exist: build it first, or name it with --harness")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    os.environ["NO_COLOR"] = "1"
    return test(given.harness.resolve(), servers, 0 if given.name else AT_LEAST)


if __name__ == "__main__":
    sys.exit(main())
