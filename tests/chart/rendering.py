"""Checks of what Helm renders, and of what it must refuse to render."""

import difflib
import hashlib
import itertools
import json
import re
from collections import Counter

import yaml

from chart import APIS, HERE, SCRATCH, Refused, attempt, in_parallel, merged, parse, read_yaml, run_helm
from objects import RULES, at, of, own, pods, serving, walk

# What an update of an object may not change; a delete is needed first.
IMMUTABLE = {
    "Deployment": [("spec", "selector")],
    "Job": [("spec", "selector"), ("spec", "template"), ("spec", "completionMode")],
    "PersistentVolumeClaim": [("spec",)],
    "RoleBinding": [("roleRef",)],
    "Secret": [("type",)],
    "Service": [("spec", "clusterIP")],
    "StatefulSet": [("spec", "selector"), ("spec", "serviceName"), ("spec", "volumeClaimTemplates")],
}


def renders(chart):
    """Every values file renders for every Kubernetes, with all optional APIs and with none."""
    for way in chart.ways():
        try:
            chart.render(**way)
        except Refused as refused:
            yield str(refused)


def lint(chart):
    """helm lint --strict has nothing to say about any values file, with Helm 3 and 4."""

    def lint(case):
        helm, name = case
        return attempt(run_helm, helm, "lint", "--strict", "--quiet", chart.path, "--values", chart.files[name])

    for (helm, name), said in in_parallel(lint, list(itertools.product(chart.helms, chart.files))):
        if isinstance(said, Refused):
            yield f"Helm {helm}, {name}: {said}"


def both_helms(chart):
    """Helm 3 and 4 render the same objects."""
    for way in chart.ways_to_compare():
        three, four = (chart.render(**way, helm=helm) for helm in ("3", "4"))
        if three != four:
            where = f"{way['name']}, Kubernetes {way['kube']}"
            yield f"{where}:\n{difference(normalised(three), normalised(four), 'Helm 3', 'Helm 4')}"


def notes_of(chart, name):
    """The notes after an installation with a values file."""
    # Helm 3 would want a cluster for it.
    arguments = ["install", "mc", chart.path, "--namespace", "meetings", "--values", chart.files[name]]
    return run_helm("4", *arguments, "--dry-run=client").partition("\nNOTES:\n")[2]


def notes(chart):
    """The notes after an installation are what their golden files say, without gaps."""
    for name, said in in_parallel(lambda name: attempt(notes_of, chart, name), list(chart.files)):
        file = HERE / f"golden/notes/{name}.txt"
        wanted = file.read_text() if file.exists() else ""
        if isinstance(said, Refused) or re.search(r"<no value>|%!|map\[", said):
            yield f"{name}: the notes are {said}"
        elif said != wanted:
            yield difference(wanted, said, f"golden/notes/{name}.txt", "rendered")
    yield from stale(chart, "notes/*.txt")


def warnings(chart):
    """The notes warn of what warnings.yaml says and of nothing else, and every warning has a case."""
    tried = read_yaml(HERE / "warnings.yaml")
    # helm template does not show the notes, so an object carries the warnings out.
    told = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: told}\n"
    told += 'data: {warnings: {{ include "meeting-control.warnings" . | toJson }}}\n'

    def render(case):
        file = SCRATCH / f"warnings/{re.sub(r'[^a-z0-9]+', '-', case['name'].lower())}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump({**merged(tried["quiet"], case["values"]), "extraObjects": [told]}))
        kube = case.get("kube", chart.kubes[-1])
        return attempt(chart.render, None, "--values", file, kube=kube, apis=case.get("apis", True))

    seen = []
    for case, objects in in_parallel(render, tried["cases"]):
        if isinstance(objects, Refused):
            yield f"{case['name']}: {objects}"
            continue
        said = next(o for o in objects if o.id == "ConfigMap told")["data"]["warnings"]
        found = [line.removeprefix("- ") for line in said.splitlines() if line]
        seen += found
        if len(found) != len(case["warnings"]) or any(one not in said for one in case["warnings"]):
            yield f"{case['name']}: the warnings are {found}"
    for line in (chart.path / "templates/_warnings.tpl").read_text().splitlines():
        sentence = ".*".join(map(re.escape, re.split(r"\{\{.*?\}\}", line.removeprefix("- "))))
        if line.startswith("- ") and not any(re.fullmatch(sentence, one) for one in seen):
            yield f"no case in warnings.yaml is warned with {line!r}"


def golden(chart):
    """Every values file renders what its golden file says; .ci/chart --bless writes them anew."""
    for name in chart.files:
        file = HERE / f"golden/{name}.yaml"
        wanted = file.read_text() if file.exists() else ""
        got = normalised(chart.render(name))
        if got != wanted:
            yield difference(wanted, got, f"golden/{name}.yaml", "rendered")
    yield from stale(chart, "*.yaml")


def stale(chart, pattern):
    """Golden files of values files that are gone."""
    if len(chart.files) > 1:
        for file in (HERE / "golden").glob(pattern):
            if file.stem not in chart.files:
                yield f"golden/{file.relative_to(HERE / 'golden')} has no values file"


def bless(chart):
    """Writes the golden files."""
    directory = HERE / "golden"
    texts = {directory / f"{name}.yaml": normalised(chart.render(name)) for name in chart.files}
    texts |= {directory / f"notes/{name}.txt": notes_of(chart, name) for name in chart.files}
    (directory / "notes").mkdir(parents=True, exist_ok=True)
    for file in {file for file in directory.rglob("*") if file.is_file()} - texts.keys():
        file.unlink()
    for file, text in texts.items():
        file.write_text(text)


def upgrades(chart):
    """Going from any values file to any other changes no immutable field."""
    for old, new in itertools.permutations(chart.files, 2):
        before = {o.id: immutable(o) for o in chart.render(old)}
        for o in chart.render(new):
            left, right = before.get(o.id, {}), immutable(o)
            for field in left.keys() & right.keys():
                if left[field] != right[field]:
                    yield f"{old} to {new}: {o.id}: {field} goes from {left[field]} to {right[field]}"


def immutable(o):
    """Name and content of each field that must stay if the new object has it as well."""
    fields = {".".join(path): at(o, *path) for path in IMMUTABLE.get(o["kind"], [])}
    # Without it, the cluster's own choice stays.
    if o["kind"] == "Service" and (families := at(o, "spec", "ipFamilies")):
        fields["spec.ipFamilies[0]"] = families[0]
    # It goes and comes with the type.
    if o["kind"] == "Service" and at(o, "spec", "type") == "LoadBalancer":
        fields["spec.loadBalancerClass"] = at(o, "spec", "loadBalancerClass")
    return fields


def common_metadata(chart):
    """commonLabels and commonAnnotations reach every object, podLabels every pod, and none reaches a selector."""
    values = "commonLabels.team=alpha,commonAnnotations.note=beta,podLabels.shade=gamma,podAnnotations.mark=delta"
    for name, objects in in_parallel(lambda name: chart.render(name, "--set", values), list(chart.files)):
        for o in own(objects):
            if at(o, "metadata", "labels", "team") != "alpha":
                yield f"{name}: {o.id} lacks the common label"
            if at(o, "metadata", "annotations", "note") != "beta":
                yield f"{name}: {o.id} lacks the common annotation"
            for path, _, value in walk(o):
                if value in ("alpha", "gamma") and re.search("selector|matchLabels", path, re.I):
                    yield f"{name}: {o.id}: {path} holds {value}"
        template = of(objects, "Deployment")[0]["spec"]["template"]["metadata"]
        if template["labels"].get("shade") != "gamma" or at(template, "annotations", "mark") != "delta":
            yield f"{name}: podLabels or podAnnotations do not reach the pods"


def odd_names(chart):
    """Long and digit-leading release names, other namespaces and overridden names give valid objects or a refusal."""
    cases = [
        dict(release="a" * 53),
        dict(release="a-" * 26 + "a"),
        dict(release="1st"),
        dict(release="7"),
        dict(release="v1.2"),
        dict(release="meeting-control"),
        dict(release="my-meeting-control-eu"),
        dict(namespace="n" * 63),
        dict(namespace="0"),
        dict(more=("--set", "nameOverride=rooms")),
        dict(more=("--set-string", "nameOverride=7")),
        dict(more=("--set", "fullnameOverride=rooms"), release="7"),
        dict(more=("--set", "fullnameOverride=rooms")),
        dict(more=("--set", "fullnameOverride=Rooms")),
        dict(more=("--set", "nameOverride=the_rooms")),
        dict(more=("--set", "nameOverride=-rooms")),
        dict(more=("--set", "nameOverride=" + "r" * 63)),
        dict(more=("--set", "fullnameOverride=" + "f-" * 31 + "f")),
        dict(more=("--set", "fullnameOverride=" + "f" * 63)),
    ]

    def render(case):
        name, options = case
        options = dict(options)
        return attempt(chart.render, name, *options.pop("more", ()), **options)

    names = [name for name in ("default", "everything") if name in chart.files]
    for (name, options), objects in in_parallel(render, list(itertools.product(names, cases))):
        label = f"{name}, {options}"
        if isinstance(objects, Refused):
            if not re.search("execution error at|values don't meet", str(objects)):
                yield f"{label}: {objects}"
            continue
        for rule in RULES:
            yield from (f"{label}: {message}" for message in rule(objects))
        if "namespace" in options and re.search(r'["\s./]meetings["\s./]', json.dumps(own(objects))):
            yield f"{label}: the namespace of another release stands somewhere"


def refusals(chart):
    """Impossible values are refused with the sentence in refusals.yaml, by Helm 3 and 4, and possible ones are not."""
    cases = read_yaml(HERE / "refusals.yaml")
    names = Counter(case["name"] for case in cases)
    yield from (f"{name}: {times} cases of this name" for name, times in names.items() if times > 1)

    def render(tried):
        helm, case = tried
        file = SCRATCH / f"refusals/{helm}-{re.sub(r'[^a-z0-9]+', '-', case['name'].lower())}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(case["values"]))
        apis = [argument for api in APIS if case.get("apis", True) for argument in ("--api-versions", api)]
        arguments = ["template", case.get("release", "mc"), chart.path, "--values", file]
        return attempt(run_helm, helm, *arguments, "--kube-version", case.get("kube", chart.kubes[-1]), *apis)

    outcomes = []
    for (helm, case), said in in_parallel(render, list(itertools.product(chart.helms, cases))):
        refused, wanted = isinstance(said, Refused), case.get("message")
        outcomes += [str(said)] if refused else []
        if refused and (wanted is None or wanted not in str(said)):
            yield f"Helm {helm}, {case['name']}: {said}"
        elif wanted is not None and not refused:
            yield f"Helm {helm}, {case['name']}: not refused"
        elif wanted is None and helm == chart.helms[-1]:
            objects = parse(said)
            yield from (f"{case['name']}: {message}" for rule in RULES for message in rule(objects))
    for place, sentence in sentences(chart):
        if sentence is None:
            yield f"{place}: a fail whose sentence is not on its line, so that no case can be matched with it"
        elif not any(re.search(re.sub("%[a-z]", ".*", re.escape(sentence)), said) for said in outcomes):
            yield f"{place}: no case in refusals.yaml is refused with {sentence!r}"


def sentences(chart):
    """Place and text of each sentence with which the templates refuse values: a list item of a check, or a fail."""
    for file in sorted(chart.path.glob("templates/**/*.*")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            item = file.name == "_checks.tpl" and re.fullmatch(r'- (?:\{\{ printf "(.*?)" .*\}\}|(.*))', line)
            call = re.search(r'(?:\{\{-?|[|(]) *(?:fail|required)\b(?: \(?(?:printf )?"(.*?)")?', line)
            if item or call:
                sentence = item[1] or item[2] if item else call[1]
                yield f"templates/{file.name}:{number}", sentence and sentence.replace(r"\n", "\n")


def as_a_subchart(chart):
    """The chart works below a parent chart, which gives it global values and switches it with enabled."""
    parent = SCRATCH / "parent"
    chart.copy(parent / "charts/meeting-control")
    aliases = (None, "meetingControl", "_rooms_")
    for helm, enabled, alias in itertools.product(chart.helms, (True, False), aliases):
        name = alias or "meeting-control"
        dependency = {
            "name": "meeting-control",
            "version": chart.metadata["version"],
            "condition": f"{name}.enabled",
            **({"alias": alias} if alias else {}),
        }
        metadata = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
        (parent / "Chart.yaml").write_text(yaml.safe_dump(metadata))
        values = {
            "global": {"imageRegistry": "mirror.example", "somebodyElses": {"key": 1}},
            name: {"enabled": enabled},
        }
        (parent / "values.yaml").write_text(yaml.safe_dump(values))
        label = f"Helm {helm}, {name}"
        try:
            objects = parse(run_helm(helm, "template", "mc", parent))
        except Refused as refused:
            yield f"{label}: {refused}"
            continue
        if enabled != bool(of(objects, "Deployment")):
            yield f"{label}: enabled={enabled} renders {[o.id for o in objects]}"
        if enabled:
            yield from (f"{label}: {message}" for rule in RULES for message in rule(objects))
            if not serving(objects)[1]["image"].startswith("mirror.example/"):
                yield f"{label}: global.imageRegistry does not reach the image"


def render_modes(chart):
    """Monitors are on by default, and where the cluster lacks their API, renderMode says what becomes of them."""
    without_api = {"skipIfMissing": "0 objects", "failIfMissing": "refused", "alwaysRender": "1 objects"}

    def render(case):
        kind, mode, api = case
        key = f"metrics.{kind[0].lower()}{kind[1:]}"
        values = f"{key}.enabled=true,{key}.renderMode={mode},metrics.prometheusRule.selector=any"
        return attempt(chart.render, None, "--set", values, apis=api)

    for api, wanted in ((True, {"ServiceMonitor", "PrometheusRule"}), (False, set())):
        objects = chart.render(None, apis=api)
        if (found := {o["kind"] for o in objects} & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}) != wanted:
            yield f"by default, API {'there' if api else 'missing'}: {found}, not {wanted}"
    cases = list(itertools.product(("ServiceMonitor", "PodMonitor", "PrometheusRule"), without_api, (True, False)))
    for (kind, mode, api), outcome in in_parallel(render, cases):
        wanted = "1 objects" if api else without_api[mode]
        found = "refused" if isinstance(outcome, Refused) else f"{len(of(outcome, kind))} objects"
        if found != wanted:
            yield f"{kind} with {mode}, API {'there' if api else 'missing'}: {found}, not {wanted}"


def openshift(chart):
    """On OpenShift, detected or told, no pod asks for ids of its own, and all is as restricted; elsewhere for high ones."""
    api = ("--api-versions", "security.openshift.io/v1")
    cases = [
        ((), False),
        (api, True),
        (("--set", "openshift=enabled"), True),
        (("--set", "openshift=disabled", *api), False),
    ]
    for more, there in cases:
        objects = chart.render(None, *more)
        for message in itertools.chain.from_iterable(rule(objects) for rule in RULES):
            yield f"{more}: {message}"
        for pod, _, spec in pods(objects):
            found = {key: value for _, key, value in walk(spec) if key in ("runAsUser", "runAsGroup", "fsGroup")}
            if found if there else len(found) < 3 or min(found.values()) < 10_000:
                yield f"{more}: {pod} asks for {found or 'no ids'}"
        for o in of(objects, "NetworkPolicy"):
            if there != (5353 in ports_of(o["spec"]["egress"])):
                yield f"{more}: {o.id}: the name service's ports are not those of the cluster"


def policy_ports(chart):
    """The NetworkPolicy lets calls out to the ports that they take."""
    https = "config.upstream=https://"
    cases = {
        (): {53, 443},
        (https + "a.example:8443",): {53, 8443},
        (https + "a.example:8443", "proxy.httpsProxy=http://proxy.example:3128"): {53, 3128},
        (https + "a.example", "proxy.httpProxy=http://proxy.example:3128"): {53, 443},
        (https + "a.example", "proxy.httpsProxy=http://proxy.example:3128", "proxy.noProxy=.example"): {53, 443},
        (https + "a.example", "proxy.httpsProxy=http://proxy.example:3128", "proxy.noProxy=10.0.0.0/8"): {53, 3128},
        (https + "10.0.0.1:8443", "proxy.httpsProxy=http://proxy.example:3128", "proxy.noProxy=10.0.0.0/8"): {53, 3128, 8443},
        (https + "[fc00::1]", "proxy.httpsProxy=http://proxy.example:3128", "proxy.noProxy=fc00::/7"): {53, 3128, 443},
        (https + "[fc00::1]:8443", "proxy.httpsProxy=http://proxy.example:3128", "proxy.noProxy=fc00::1"): {53, 8443},
        ("networkPolicy.egress.upstreamPorts[0]=3129",): {53, 3129},
        ("networkPolicy.egress.dnsPorts[0]=5353",): {5353, 443},
        ("otel.endpoint=http://collector.example:4317",): {53, 443, 4317},
        ("otel.endpoint=http://$(HOST_IP):4317",): {53, 443, 4317},
        ("sandbox.enabled=true",): {53},
    }
    for values, wanted in cases.items():
        objects = chart.render(None, *(word for value in values for word in ("--set", value)))
        policy = next(o for o in of(objects, "NetworkPolicy") if o.template == "templates/networkpolicy.yaml")
        if (found := ports_of(policy["spec"]["egress"])) != wanted:
            yield f"{values}: calls go out to {found}"


def ports_of(rules):
    return {port["port"] for rule in rules for port in rule.get("ports", [])}


# Text of objects


class Dumper(yaml.CSafeDumper):
    """YAML that is good to read in a diff."""


def readable(dumper, text):
    # A dashboard is reviewed where it is, not here as well.
    if len(text) > 10_000:
        text = f"{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.ignore_aliases = lambda dumper, data: True
Dumper.add_representer(str, readable)


def normalised(objects):
    ordered = sorted((dict(o) for o in objects), key=lambda o: (o["kind"], o["metadata"]["name"]))
    return yaml.dump_all(ordered, Dumper=Dumper, sort_keys=True, width=120, explicit_start=True, allow_unicode=True)


def difference(left, right, left_name, right_name):
    return "\n".join(difflib.unified_diff(left.splitlines(), right.splitlines(), left_name, right_name, lineterm=""))


CHECKS = [
    renders,
    lint,
    both_helms,
    notes,
    warnings,
    golden,
    upgrades,
    common_metadata,
    odd_names,
    render_modes,
    openshift,
    policy_ports,
    refusals,
    as_a_subchart,
]
