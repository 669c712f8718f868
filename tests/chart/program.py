"""Checks that start the program as the chart would."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import yaml

from chart import HERE, ROOT, SCRATCH, attempt, complaints, run
from objects import SANDBOX_TOKEN, environment, of, serving

BINARY = os.environ.get("MEETING_CONTROL", ROOT / "target/debug/meeting-control")
STARTS_WITHIN = 20
STOPS_WITHIN = 60
TAKEN = set()


def free_port():
    """A port that nobody listens on, a new one each time, as a program takes a while to listen."""
    while True:
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            port = any_port.getsockname()[1]
        if port not in TAKEN:
            TAKEN.add(port)
            return port


class Program:
    """The program at work on ports of its own, whatever its environment says about ports but for variables to keep."""

    def __init__(self, name, command, variables, keep=()):
        self.name = name
        self.grpc, self.admin, rest = (f"127.0.0.1:{free_port()}" for _ in range(3))
        addresses = {
            "MEETING_CONTROL_LISTEN": self.grpc,
            "MEETING_CONTROL_ADMIN_LISTEN": self.admin,
            "MEETING_CONTROL_REST_LISTEN": rest,
        }
        self.log = (SCRATCH / f"program-{name}.log").open("w+")
        self.process = subprocess.Popen(
            [str(BINARY), command],
            env=variables | {name: value for name, value in addresses.items() if name not in keep},
            stdout=self.log,
            stderr=self.log,
        )

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=2) as answer:
            return answer.read().decode()

    def ready(self):
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.get("/readyz")
                return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        return False

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stopped(self):
        """The exit status that SIGTERM leads to."""
        try:
            return self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            return f"none {STOPS_WITHIN} s after SIGTERM"
        finally:
            self.process.kill()

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()[-500:]


def certificate():
    """A certificate and its key, for every setting that names a file."""
    cert, key = SCRATCH / "cert.pem", SCRATCH / "key.pem"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    # Of a server and not of an authority, so that clients may trust it as well as be shown it.
    extensions = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    run("openssl", *request.split(), *extensions, "-out", cert, "-keyout", key)
    return str(cert), str(key)


def starts(chart):
    """The program starts with the settings of each values file, gets ready, and ends with 0 on SIGTERM."""
    cert, key = certificate()
    programs = []
    try:
        for name in chart.files:
            objects = chart.render(name)
            container = serving(objects)[1]
            variables = {name: value for name, value in environment(objects, container).items() if value}
            for variable in variables:
                if re.fullmatch(r"MEETING_CONTROL_(TLS_CERT|TLS_CLIENT_CA|UPSTREAM_CA)|SSL_CERT_FILE", variable):
                    variables[variable] = cert
                elif variable == "MEETING_CONTROL_TLS_KEY":
                    variables[variable] = key
            programs.append(Program(name, container["args"][0], variables))
        for program in programs:
            if not program.ready():
                yield f"{program.name}: not ready: {program.said()}"
    finally:
        for program in programs:
            program.terminate()
        statuses = [program.stopped() for program in programs]
    for program, status in zip(programs, statuses):
        if status != 0:
            yield f"{program.name}: exit status {status}: {program.said()}"


def metrics_exist(chart):
    """Alerts and dashboard read metrics and labels that a running façade has."""
    rules, metrics = SCRATCH / "metrics-rules.yaml", SCRATCH / "metrics.txt"
    objects = chart.render(None, "--set", "tls.enabled=true,tls.secretName=any")
    rules.write_text(yaml.safe_dump(of(objects, "PrometheusRule")[0]["spec"]))
    cert, key = certificate()
    variables = {"MEETING_CONTROL_TLS_CERT": cert, "MEETING_CONTROL_TLS_KEY": key}
    sandbox = Program("sandbox-metrics", "sandbox", variables)
    try:
        if not sandbox.ready():
            yield f"the sandbox is not ready: {sandbox.said()}"
            return
        for conference in ("900244663", "900000503", "900001503", "900002002", "900003005"):
            address = f"https://localhost:{sandbox.grpc.rpartition(':')[2]}"
            call = [BINARY, "update", "--address", address, "--ca", cert, "--lock-sharing", "locked"]
            attempt(run, *call, "--conference-id", conference, environment={"MEETING_CONTROL_TOKEN": SANDBOX_TOKEN})
        metrics.write_text(sandbox.get("/metrics"))
    finally:
        sandbox.terminate()
        sandbox.stopped()
    dashboard = chart.path / "dashboards/meeting-control.json"
    yield from complaints("python", HERE / "metrics_exist.py", metrics, rules, dashboard)


CHECKS = [starts, metrics_exist]
