"""The chart under test, its values files, and what Helm makes of them."""

import copy
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/chart"
TOOLS = ROOT / "target/ci"
SCRATCH = TOOLS / "chart"

HELMS = ["3", "4"]
KUBES = [f"1.{minor}" for minor in range(27, 38)]
# What a cluster with all optional APIs answers to Helm.
APIS = [
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1/GRPCRoute",
    "monitoring.coreos.com/v1",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PodMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
    "cert-manager.io/v1",
    "cert-manager.io/v1/Certificate",
]


class Refused(Exception):
    """Helm would not do it; the message is what it said."""


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it, but for a key that occurs twice, which is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


class Object(dict):
    """A Kubernetes object, and the template that it comes from."""

    def __init__(self, fields, template):
        super().__init__(fields)
        self.template = template

    @property
    def id(self):
        return f"{self['kind']} {self['metadata']['name']}"


class Chart:
    """A chart directory with its values files; each rendering is made once."""

    def __init__(self, path=ROOT / "helm/meeting-control", names=None, helms=HELMS, kubes=KUBES):
        self.path = path
        files = {file.name.removesuffix("-values.yaml"): file for file in sorted((path / "ci").glob("*-values.yaml"))}
        files["values-production"] = path / "values-production.yaml"
        self.files = {name: file for name, file in files.items() if not names or name in names}
        self.helms, self.kubes = helms, kubes
        self.metadata = read_yaml(path / "Chart.yaml")
        self.defaults = read_yaml(path / "values.yaml")
        self.rendered = {}

    def values(self, name):
        """The values that a values file leads to."""
        return merged(self.defaults, read_yaml(self.files[name]) or {})

    def render(self, name=None, *more, helm=None, kube=None, apis=True, release="mc", namespace="meetings"):
        """The objects of a values file, of the chart's defaults without one."""
        helm, kube = helm or self.helms[-1], kube or self.kubes[-1]
        key = (name, more, helm, kube, apis, release, namespace)
        if key not in self.rendered:
            arguments = ["template", release, self.path, "--namespace", namespace, "--kube-version", kube]
            arguments += ["--values", self.files[name]] if name else []
            arguments += [argument for api in APIS for argument in ("--api-versions", api)] if apis else []
            try:
                self.rendered[key] = parse(run_helm(helm, *arguments, *more))
                self.change(self.rendered[key])
            except Refused as refused:
                self.rendered[key] = Refused(f"Helm {helm}, {name or 'defaults'}, Kubernetes {kube}: {refused}")
        if isinstance(self.rendered[key], Refused):
            raise self.rendered[key]
        return self.rendered[key]

    def ways(self):
        """Every rendering that is checked: each Kubernetes with all APIs, the oldest and the newest also with none."""
        for name in self.files:
            for kube in self.kubes:
                yield dict(name=name, kube=kube, apis=True)
            for kube in dict.fromkeys((self.kubes[0], self.kubes[-1])):
                yield dict(name=name, kube=kube, apis=False)

    def ways_to_compare(self):
        """What is rendered with both Helms."""
        for name in self.files:
            for kube, apis in ((self.kubes[0], True), (self.kubes[-1], True), (self.kubes[-1], False)):
                yield dict(name=name, kube=kube, apis=apis)

    def renders(self):
        """Name and objects of each rendering, equal ones once."""
        seen = []
        for way in self.ways():
            rendered = (way["name"], self.render(**way))
            if rendered not in seen:
                seen.append(rendered)
                yield rendered

    def prefetch(self):
        """Renders all of them, on all processors. Who wants a rendering that Helm refuses will be told then."""
        ways = [*self.ways(), *(way | {"helm": "3"} for way in self.ways_to_compare())]
        list(in_parallel(lambda way: attempt(self.render, **way), ways))

    def change(self, objects):
        """Changes what was rendered; see mutations.py."""

    def copy(self, path):
        """The same chart elsewhere, to be changed."""
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.path, path)
        return path


def attempt(function, *arguments, **options):
    """What a function returns, or its refusal."""
    try:
        return function(*arguments, **options)
    except Refused as refused:
        return refused


def in_parallel(function, items):
    """Items and what the function makes of them, in order, on all processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from zip(items, pool.map(function, items))
        finally:
            pool.shutdown(cancel_futures=True)


def run_helm(helm, *arguments, **options):
    return run(TOOLS / f"helm-{helm}/helm", *arguments, **options)


def run(*command, environment=None, **options):
    """The standard output of a command that must succeed."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MEETING_CONTROL_")}
    # No cluster is asked, even where one is at hand.
    variables |= {"KUBECONFIG": os.devnull, **(environment or {})}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, env=variables, **options
    )
    if done.returncode != 0:
        raise Refused(done.stderr.strip() or done.stdout.strip() or f"{command[0]} ends with {done.returncode}")
    return done.stdout


def complaints(*command, **options):
    """What a command that should succeed says if it does not."""
    said = attempt(run, *command, **options)
    if isinstance(said, Refused):
        yield str(said)


def parse(text):
    """The objects of Helm's output."""
    objects = []
    for template, document in re.findall(r"^---\n# Source: [\w-]+/(\S+)\n(.*?)(?=^---\n|\Z)", text, re.M | re.S):
        try:
            fields = yaml.load(document, Loader)
        except yaml.YAMLError as error:
            raise Refused(f"{template}: {error}") from error
        if fields:
            objects.append(Object(fields, template))
    return objects


def read_yaml(path):
    return yaml.load(path.read_text(), Loader)


def merged(base, other):
    """As Helm merges values: maps key by key, and null takes a key away."""
    if not isinstance(base, dict) or not isinstance(other, dict):
        return copy.deepcopy(other)
    result = copy.deepcopy(base)
    for key, value in other.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(base.get(key), value)
    return result
