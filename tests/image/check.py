"""Tries the image as a cluster would run it: read-only, as user 65532, without capabilities, on loopback.

Started by .ci/image with the image and a Helm binary. Prints one line for each check; the first that fails ends it.
"""

import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request

IMAGE, HELM = sys.argv[1:]
ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/meeting-control"

MAX_IMAGE = 15_000_000
PATIENCE = 20
TOKEN = "cnr" + 48 * "0"
MEETING = "900244663"
DRAINING, DRAINED = ('"message":"draining: no new calls"', '"message":"drained"')
PROGRAM = "usr/local/bin/meeting-control"
ROOTS = "etc/ssl/certs/ca-certificates.crt"
FILES = {PROGRAM, ROOTS, "etc/passwd", "etc/group", "etc/nsswitch.conf"}

# Of 127.0.0.0/8, so it is this machine, and nobody else's resolver.
NAME_SERVER = "127.0.0.77"
BY_FILE, BY_DNS, NOWHERE = "by-file.test", "by-dns.test", "nowhere.test"

CONFINED = [
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--user=65532:65532", "--network=host", "--pull=never",
]


def main():
    holds_one_program_and_the_roots()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        with rest_side() as rest:
            becomes_ready(rest)
            finds_hosts_by_file_and_by_dns(rest, scratch)
        trusts_the_roots_of_the_system(scratch)
        runs_as_the_chart_says_and_drains(scratch)


# === The checks


def holds_one_program_and_the_roots():
    about = json.loads(podman("image", "inspect", IMAGE))[0]
    config = about["Config"]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    equal(config["User"], "65532:65532")
    equal(config["Entrypoint"], [f"/{PROGRAM}"])
    equal(config["Cmd"], ["serve"])
    equal(config["Labels"]["org.opencontainers.image.version"], version)
    equal(about.get("HealthCheck") or config.get("Healthcheck"), None)
    with mounted() as root:
        files = [path for path in root.rglob("*") if not path.is_dir()]
        equal({str(path.relative_to(root)) for path in files}, FILES)
        size = sum(path.stat().st_size for path in files)
        program = (root / PROGRAM).stat().st_size
        roots = (root / ROOTS).read_text().count("BEGIN CERTIFICATE")
    if size > MAX_IMAGE:
        fail(f"the image has {size} bytes")
    if roots < 100:
        fail(f"the image has {roots} root certificates")
    ok(f"{size / 1e6:.1f} MB: a program of {program / 1e6:.1f} MB, {roots} root certificates, no shell")


def becomes_ready(rest):
    with facade(f"http://{rest}") as running:
        equal(update(running.grpc), (0, "OK"))
        equal(update(running.grpc, token=None, more=["--expect", "UNAUTHENTICATED"])[0], 0)
        equal(run("health", "--address", f"http://{running.grpc}").returncode, 0)
    ok(f"ready {running.ready_after * 1000:.0f} ms after its start, called, and asked for its health")


def finds_hosts_by_file_and_by_dns(rest, scratch):
    port = rest.rpartition(":")[2]
    resolver = scratch / "resolv.conf"
    resolver.write_text(f"nameserver {NAME_SERVER}\n")
    with name_server() as asked:
        for host, expected in [(BY_FILE, (0, "OK")), (BY_DNS, (0, "OK")), (NOWHERE, (78, "UNAVAILABLE"))]:
            names = [f"--add-host={BY_FILE}:127.0.0.1", f"--volume={resolver}:/etc/resolv.conf:ro"]
            with facade(f"http://{host}:{port}", options=names, settings=["--allow-plaintext-upstream"]) as running:
                equal(update(running.grpc), expected)
    equal({BY_DNS, NOWHERE} <= asked, True)
    ok("finds hosts by file and by DNS, and says when there is none")


def trusts_the_roots_of_the_system(scratch):
    certificate, key = self_signed(scratch, BY_FILE)
    with mounted() as root:
        bundle = scratch / "roots.pem"
        bundle.write_text((root / ROOTS).read_text() + certificate.read_text())
    names = [f"--add-host={BY_FILE}:127.0.0.1"]
    known = [*names, f"--volume={bundle}:/{ROOTS}:ro"]
    with https_side(certificate, key) as port:
        for options, expected in [(known, (0, "OK")), (names, (78, "UNAVAILABLE"))]:
            with facade(f"https://{BY_FILE}:{port}", options=options) as running:
                equal(update(running.grpc), expected)
    ok("calls a named host over TLS when the system's roots hold its issuer, and only then")


def runs_as_the_chart_says_and_drains(scratch):
    registry, _, name = IMAGE.partition("/")
    repository, _, tag = name.partition(":")
    # The pod is alone in its network, with the upstream as a second container.
    rest = {"name": "rest", "image": IMAGE, "imagePullPolicy": "Never", "args": ["sandbox", "--rest-only"]}
    given = scratch / "values.json"
    given.write_text(json.dumps({
        "replicaCount": 1,
        "image": {"registry": registry, "repository": repository, "tag": tag, "pullPolicy": "Never"},
        "config": {"upstream": "http://127.0.0.1:8080", "drainDelay": "500ms", "attemptTimeout": "9s"},
        "extraContainers": [rest],
    }))
    rendered = scratch / "rendered.yaml"
    rendered.write_text("---\n".join(
        shell(HELM, "template", "mc", CHART, "--values", given, "--show-only", f"templates/{kind}.yaml")
        for kind in ("configmap", "deployment")
    ))
    with network() as within:
        # What a run that was cut off left behind goes first.
        shell(*within, "podman", "kube", "play", "--replace", rendered)
        try:
            facade, beside = (f"mc-meeting-control-pod-0-{name}" for name in ("meeting-control", "rest"))
            # A client within the façade's own container would end with it, perhaps before it has told the answer.
            exec_in = ["podman", "exec", f"--env=MEETING_CONTROL_TOKEN={TOKEN}", beside, "meeting-control"]
            lock = [*exec_in, "update", "--lock-sharing=locked", f"--conference-id={MEETING}"]
            wait(lambda: subprocess.run([*exec_in, "health"], capture_output=True).returncode == 0, lambda: log_of(facade))
            about = json.loads(podman("inspect", facade))[0]
            equal(about["Config"]["User"].partition(":")[0], "65532")
            equal(about["HostConfig"]["ReadonlyRootfs"], True)
            equal(about["EffectiveCaps"] or [], [])
            shell(*lock)
            # While the upstream stands still, a call is under way, and the pod is told to stop.
            podman("kill", "--signal=STOP", beside)
            call = subprocess.Popen(lock, stdout=subprocess.PIPE, text=True)
            under_way = re.compile(r"^grpc_server_in_flight\{.*\} 1$", re.MULTILINE)
            wait(lambda: under_way.search(shell(*within, "curl", "--silent", "http://127.0.0.1:9090/metrics")))
            stopping = subprocess.Popen(["podman", "stop", "--time=30", facade], stdout=subprocess.DEVNULL)
            wait(lambda: DRAINING in log_of(facade), lambda: log_of(facade))
            equal(call.poll(), None)
            podman("kill", "--signal=CONT", beside)
            printed, _ = call.communicate(timeout=PATIENCE)
            equal((call.returncode, printed.partition(":")[0]), (0, "OK"))
            equal(stopping.wait(timeout=PATIENCE), 0)
            equal(json.loads(podman("inspect", facade))[0]["State"]["ExitCode"], 0)
            equal(DRAINED in log_of(facade), True)
        finally:
            podman("kube", "down", rendered)
    ok("runs as the chart's Deployment says; told to stop, it ends the open call first, and exits with 0")


# === The image at work


def command(*arguments, options=(), token=None):
    environment = [f"--env=MEETING_CONTROL_TOKEN={token}"] if token else []
    return ["podman", "run", "--rm", f"--timeout={PATIENCE}", *CONFINED, *options, *environment, IMAGE, *map(str, arguments)]


def run(*arguments, token=None):
    return subprocess.run(command(*arguments, token=token), capture_output=True, text=True, timeout=PATIENCE)


def update(address, token=TOKEN, more=()):
    """The exit status, and the word that the output begins with."""
    done = run("update", "--address", f"http://{address}", "--conference-id", MEETING, "--lock-sharing", "locked",
               *more, token=token)
    return done.returncode, (done.stdout + done.stderr).partition(":")[0]


class Running:
    def __init__(self, grpc, ready_after):
        self.grpc, self.ready_after = grpc, ready_after


@contextlib.contextmanager
def facade(upstream, options=(), settings=()):
    grpc, admin = free_address(), free_address()
    arguments = ["serve", "--upstream", upstream, "--listen", grpc, "--admin-listen", admin, "--drain-delay=1ms",
                 "--max-retries=0", *settings]
    name = podman("create", *CONFINED, *options, IMAGE, *arguments).strip()
    try:
        podman("start", name)
        wait_until_ready(admin, lambda: log_of(name))
        ready = time.time()
        started = json.loads(podman("inspect", name))[0]["State"]["StartedAt"]
        started = float(shell("date", "--date", started, "+%s.%N"))
        yield Running(grpc, ready - started)
        podman("stop", "--time=10", name)
        equal(json.loads(podman("inspect", name))[0]["State"]["ExitCode"], 0)
    finally:
        podman("rm", "--force", "--time=0", name)


@contextlib.contextmanager
def rest_side():
    """The sandbox's stand-in for the REST API."""
    address = free_address()
    name = podman("run", "--detach", *CONFINED, IMAGE, "sandbox", "--rest-only", "--rest-listen", address).strip()
    try:
        wait(lambda: opens(f"http://{address}/sandbox/meetings/{MEETING}"))
        yield address
    finally:
        podman("rm", "--force", "--time=0", name)


@contextlib.contextmanager
def mounted():
    path = podman("image", "mount", IMAGE).strip()
    try:
        yield pathlib.Path(path)
    finally:
        podman("image", "unmount", IMAGE)


# === The world around it


@contextlib.contextmanager
def name_server():
    """Knows one name; yields the set of names that it was asked for."""
    asked = set()
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind((NAME_SERVER, 53))

    def serve():
        while True:
            try:
                query, client = door.recvfrom(512)
            except OSError:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, (kind,) = ".".join(labels), struct.unpack(">H", query[at + 1 : at + 3])
            asked.add(name)
            address = struct.pack(">HHHIH4s", 0xC00C, 1, 1, 5, 4, bytes([127, 0, 0, 1])) if (name, kind) == (BY_DNS, 1) else b""
            flags = 0x8180 if name == BY_DNS else 0x8183
            door.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, bool(address), 0, 0) + query[12 : at + 5] + address, client)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield asked
    finally:
        door.close()


@contextlib.contextmanager
def network():
    """A network with nothing but a loopback of its own; yields what runs a command in it."""
    script = "ip link set lo up && echo up && exec sleep 120"
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        equal(holder.stdout.readline(), "up\n")
        yield ["nsenter", f"--target={holder.pid}", "--net"]
    finally:
        holder.kill()
        holder.wait()


@contextlib.contextmanager
def https_side(certificate, key):
    class Accepts(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that trusts us not is what one check is about."""

    server = Quiet(("127.0.0.1", 0), Accepts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def self_signed(scratch, name):
    certificate, key = scratch / "rest.pem", scratch / "rest.key"
    shell("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
          "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE", "-out", certificate, "-keyout", key)
    return certificate, key


def free_address():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{door.getsockname()[1]}"


def opens(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def wait(condition, log=lambda: ""):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            fail(f"waited in vain for {PATIENCE} s\n{log()}")
        time.sleep(0.005)


def wait_until_ready(admin, log):
    wait(lambda: opens(f"http://{admin}/readyz"), log)


def podman(*arguments):
    return shell("podman", *arguments)


def log_of(container):
    return shell("podman", "logs", container, errors=True)


def shell(*arguments, errors=False):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=60, env=os.environ)
    if done.returncode:
        fail(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout + (done.stderr if errors else "")


def equal(seen, expected):
    if seen != expected:
        place = sys._getframe(1)
        fail(f"line {place.f_lineno}, in {place.f_code.co_name}: {seen!r} is not {expected!r}")


def ok(what):
    print(f"ok      {what}", flush=True)


def fail(why):
    sys.exit(f"FAILED  {why}")


main()
