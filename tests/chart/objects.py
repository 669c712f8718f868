"""What Kubernetes' schemas let pass. Each rule takes the objects of one rendering and yields what is wrong."""

import json
import math
import re
from collections import Counter

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*"
QUANTITY = r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
FACTORS = {
    None: 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
DURATION = r"(\d+)(ms|s|m|h)\s*"
SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}

SELECTOR_LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
LABELS = SELECTOR_LABELS | {"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}
# The control token of every sandbox. It opens nothing, so it may be read by all.
SANDBOX_TOKEN = "cnr" + 48 * "0"

# Possible values of fields, which the schemas do not tell.
CHOICES = {
    "externalTrafficPolicy": {"Cluster", "Local"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "internalTrafficPolicy": {"Cluster", "Local"},
    "ipFamilyPolicy": {"SingleStack", "PreferDualStack", "RequireDualStack"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "sessionAffinity": {"None", "ClientIP"},
    "trafficDistribution": {"PreferClose", "PreferSameZone", "PreferSameNode"},
    "unhealthyPodEvictionPolicy": {"IfHealthyBudget", "AlwaysAllow"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
}

# Volumes that the Pod Security Standard "restricted" admits.
VOLUMES = {
    "name",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}

# What tells the items of lists apart.
LIST_KEYS = {
    "containers": ["name"],
    "env": ["name"],
    "hostAliases": ["ip"],
    "imagePullSecrets": ["name"],
    "initContainers": ["name"],
    "ports": ["containerPort", "port", "protocol"],
    "topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "volumeMounts": ["mountPath"],
    "volumes": ["name"],
}


# Finding things


def of(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


def at(value, *path, default=None):
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            return default
    return value


def pods(objects):
    """Id, labels and specification of each pod that comes into being."""
    for o in of(objects, "Deployment", "Job"):
        template = o["spec"]["template"]
        yield o.id, at(template, "metadata", "labels", default={}), template["spec"]
    for o in of(objects, "Pod"):
        yield o.id, at(o, "metadata", "labels", default={}), o["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def each_container(objects):
    for pod, _, spec in pods(objects):
        for container in containers(spec):
            yield f"{pod}, container {container['name']}", spec, container


def serving(objects):
    """The pod specification and the container that runs the façade."""
    spec = of(objects, "Deployment")[0]["spec"]["template"]["spec"]
    return spec, spec["containers"][0]


def environment(objects, container):
    """The container's environment as far as the rendering tells it."""
    maps = {o["metadata"]["name"]: o.get("data") or {} for o in of(objects, "ConfigMap")}
    variables = {}
    for source in container.get("envFrom") or []:
        variables |= maps.get(at(source, "configMapRef", "name"), {})
    for variable in container.get("env") or []:
        variables[variable["name"]] = variable.get("value")
    return variables


def own(objects):
    """What the chart makes itself, without the objects that its user adds."""
    return [o for o in objects if "extra" not in o.template]


def selects(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def walk(value, path=""):
    """Every field below a value: path, name and content."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield f"{path}.{key}", key, child
            yield from walk(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from walk(child, f"{path}[{index}]")


def amount(quantity):
    """The number that a quantity stands for, or None."""
    match = re.fullmatch(QUANTITY, str(quantity))
    return float(match[1]) * FACTORS[match[2]] if match else None


def seconds(duration):
    """The seconds of a duration as the program writes it, or None."""
    if not re.fullmatch(rf"({DURATION})+", duration):
        return None
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(DURATION, duration))


def ports(spec):
    """Names and numbers of a pod's ports."""
    found = [port for container in containers(spec) for port in container.get("ports") or []]
    return {port["containerPort"] for port in found} | {port.get("name") for port in found}


# Rules


def names(objects):
    """Names and label values are ones that Kubernetes takes, and no object occurs twice."""
    for o in objects:
        name = o["metadata"]["name"]
        # A Service's name is a DNS label that starts with a letter; a hook pod's becomes its host name.
        pattern = rf"(?=[a-z]){LABEL}" if o["kind"] == "Service" else LABEL if o["kind"] == "Pod" else SUBDOMAIN
        if not re.fullmatch(pattern, name):
            yield f"{o.id}: not a valid name"
        for path, key, value in walk(o):
            if key in ("labels", "matchLabels") and isinstance(value, dict):
                for label, content in value.items():
                    if not isinstance(content, str) or not re.fullmatch(
                        r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", content
                    ):
                        yield f"{o.id}: {path} has {label}={content!r}"
    for (identity, namespace), count in Counter((o.id, at(o, "metadata", "namespace")) for o in objects).items():
        if count > 1:
            yield f"{identity}: rendered {count} times"


def numbers(objects):
    """Quantities parse, counts are not negative, ports are ports."""
    for o in objects:
        for path, key, value in walk(o):
            if key in ("limits", "requests") and isinstance(value, dict):
                for resource, quantity in value.items():
                    if amount(quantity) is None:
                        yield f"{o.id}: {path}.{resource} is {quantity!r}"
            elif key in ("sizeLimit", "averageValue") and amount(value) is None:
                yield f"{o.id}: {path} is {value!r}"
            elif isinstance(value, str) and re.fullmatch(r"\d(\.\d+)?e\+\d+", value):
                yield f"{o.id}: {path} is {value}, a whole number printed in another way"
            elif isinstance(value, int) and not isinstance(value, bool):
                if key in ("port", "containerPort", "targetPort", "nodePort") and not 0 < value < 65536:
                    yield f"{o.id}: {path} is {value}"
                if value < 0:
                    yield f"{o.id}: {path} is {value}"
        low, high = at(o, "spec", "minReplicas"), at(o, "spec", "maxReplicas")
        if o["kind"] == "HorizontalPodAutoscaler" and not 0 < (low or 1) <= high:
            yield f"{o.id}: {low} to {high} replicas"


def choices(objects):
    """Fields with a closed set of values have one of them."""
    for o in objects:
        for path, key, value in walk(o):
            if key in CHOICES and value not in CHOICES[key]:
                yield f"{o.id}: {path} is {value!r}"
        if o["kind"] == "Service" and at(o, "spec", "type", default="ClusterIP") not in {
            "ClusterIP",
            "NodePort",
            "LoadBalancer",
        }:
            yield f"{o.id}: type is {o['spec']['type']!r}"


def deployment_selects_its_pods(objects):
    """The Deployment selects its own pods, by name and instance alone."""
    for o in of(objects, "Deployment"):
        selector = o["spec"]["selector"]
        if set(selector) != {"matchLabels"} or set(selector["matchLabels"]) != SELECTOR_LABELS:
            yield f"{o.id}: selects by {selector}"
        if not selects(selector.get("matchLabels"), o["spec"]["template"]["metadata"]["labels"]):
            yield f"{o.id}: does not select its own pods"


def selectors(objects):
    """Services, budgets, policies and monitors select something that exists, and ports of it that exist."""
    for o in own(objects):
        spec = o.get("spec", {})
        if o["kind"] == "Service":
            yield from pods_chosen(
                objects, o, spec["selector"], [port.get("targetPort", port["port"]) for port in spec["ports"]]
            )
        elif o["kind"] == "PodDisruptionBudget":
            yield from pods_chosen(objects, o, spec["selector"]["matchLabels"], [])
        elif o["kind"] == "PodMonitor":
            yield from pods_chosen(
                objects, o, spec["selector"]["matchLabels"], [end["port"] for end in spec["podMetricsEndpoints"]]
            )
        elif o["kind"] == "NetworkPolicy":
            yield from pods_chosen(objects, o, spec["podSelector"]["matchLabels"], [])
        elif o["kind"] == "ServiceMonitor":
            yield from services_chosen(
                objects, o, spec["selector"]["matchLabels"], [end["port"] for end in spec["endpoints"]]
            )


def pods_chosen(objects, o, selector, wanted):
    if set(selector) != SELECTOR_LABELS:
        yield f"{o.id}: selects by {selector}"
    chosen = [spec for _, labels, spec in pods(objects) if selects(selector, labels)]
    if not chosen:
        yield f"{o.id}: selects no pod"
    yield from (f"{o.id}: the pods have no port {port!r}" for port in wanted if chosen and port not in ports(chosen[0]))


def services_chosen(objects, o, selector, wanted):
    chosen = [s for s in of(own(objects), "Service") if selects(selector, s["metadata"]["labels"])]
    # Two Services in front of the same pods would have each pod read twice.
    if len(chosen) != 1:
        yield f"{o.id}: selects {[s.id for s in chosen]}, not one Service"
    for service in chosen[:1]:
        offered = [port.get("name") for port in service["spec"]["ports"]]
        yield from (f"{o.id}: {service.id} has no port {port!r}" for port in wanted if port not in offered)


def policies_admit_calls(objects):
    """Network policies admit calls to the ports of the façade."""
    spec = of(objects, "Deployment")[0]["spec"]["template"]
    for o in of(own(objects), "NetworkPolicy"):
        if selects(at(o, "spec", "podSelector", "matchLabels"), spec["metadata"]["labels"]):
            admitted = {port["port"] for rule in o["spec"].get("ingress") or [] for port in rule.get("ports") or []}
            for port in serving(objects)[1]["ports"]:
                if port["containerPort"] not in admitted:
                    yield f"{o.id}: admits no calls to port {port['containerPort']}"


def test_pods_get_no_calls(objects):
    """No Service sends calls to a test pod."""
    for service in of(objects, "Service"):
        for pod, labels, _ in pods(of(objects, "Pod")):
            if selects(at(service, "spec", "selector"), labels):
                yield f"{service.id} selects {pod}"


def references(objects):
    """What an object names exists: service account, config map, secret, Service, scaled Deployment."""
    names = {
        kind: {o["metadata"]["name"] for o in of(objects, kind)}
        for kind in ("ConfigMap", "Secret", "Service", "ServiceAccount", "Deployment")
    }
    names["Secret"] |= {o["spec"]["secretName"] for o in of(objects, "Certificate")}
    prefix = of(objects, "Deployment")[0]["metadata"]["name"]

    def ours(name):
        return name == prefix or name.startswith(prefix + "-")

    for pod, _, spec in pods(objects):
        account = spec.get("serviceAccountName", "default")
        if ours(account) and account not in names["ServiceAccount"]:
            yield f"{pod}: no ServiceAccount {account}"
        for path, key, value in walk(spec):
            kind = re.fullmatch("(configMap|secret)(Ref|KeyRef)?", key)
            kind = kind and kind[1][0].upper() + kind[1][1:]
            name = at(value, "name") or at(value, "secretName")
            if kind and name and ours(name) and name not in names[kind]:
                yield f"{pod}: no {kind} {name} for {path}"
    for o in of(objects, "HorizontalPodAutoscaler"):
        if o["spec"]["scaleTargetRef"]["name"] not in names["Deployment"]:
            yield f"{o.id}: scales what is not there"
    for o in of(own(objects), "GRPCRoute"):
        for rule in o["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                service = next((s for s in of(objects, "Service") if s["metadata"]["name"] == backend["name"]), None)
                if not service or backend["port"] not in [port["port"] for port in service["spec"]["ports"]]:
                    yield f"{o.id}: no Service {backend['name']} with port {backend['port']}"


def tests_call_the_service(objects):
    """Test pods call a Service that exists, over TLS where it is on, resolve names as the others do, and can be run again."""
    offered = {(s["metadata"]["name"], port["port"]) for s in of(objects, "Service") for port in s["spec"]["ports"]}
    scheme = "https" if environment(objects, serving(objects)[1]).get("MEETING_CONTROL_TLS_CERT") else "http"
    for pod, _, spec in pods(of(objects, "Pod")):
        addresses = re.findall(r"(https?)://([\w.-]+):(\d+)", json.dumps(spec))
        if not addresses:
            yield f"{pod}: calls nothing"
        for field in ("dnsPolicy", "dnsConfig", "hostAliases"):
            if spec.get(field) != serving(objects)[0].get(field):
                yield f"{pod}: {field} is another than the façade's"
        for found, host, port in addresses:
            if (host.split(".")[0], int(port)) not in offered or found != scheme:
                yield f"{pod}: calls {found}://{host}:{port}"
    for o in of(objects, "Pod"):
        policy = at(o, "metadata", "annotations", "helm.sh/hook-delete-policy", default="before-hook-creation")
        if "before-hook-creation" not in policy:
            yield f"{o.id}: a second run finds the pod of the first"


def variables(objects):
    """No variable of a container is set twice, in a list or a config map, and each refers to those above it alone."""
    maps = {o["metadata"]["name"]: o.get("data") or {} for o in of(objects, "ConfigMap")}
    for where, _, container in each_container(objects):
        count = Counter(variable["name"] for variable in container.get("env") or [])
        for source in container.get("envFrom") or []:
            count.update(
                (source.get("prefix") or "") + name for name in maps.get(at(source, "configMapRef", "name"), {})
            )
        for name, times in count.items():
            if times > 1:
                yield f"{where}: {name} is set {times} times"
        above = set()
        for variable in container.get("env") or []:
            for name in set(re.findall(r"\$\((\w+)\)", variable.get("value") or "")) - above:
                yield f"{where}: {variable['name']} refers to {name}, which is not above it"
            above.add(variable["name"])


def no_secrets(objects):
    """No secret stands in an environment or a config map in clear."""
    found = [
        (where, variable["name"], variable.get("value"))
        for where, _, container in each_container(objects)
        for variable in container.get("env") or []
    ]
    found += [(o.id, key, value) for o in of(objects, "ConfigMap") for key, value in (o.get("data") or {}).items()]
    for where, name, value in found:
        by_name = re.search(r"TOKEN(?!_FILE|S$)|PASSWORD|SECRET", name, re.I)
        by_value = re.search(r"cnr\w{40}|PRIVATE KEY|://[^/\s]+:[^/\s]+@", value or "")
        if value and value != SANDBOX_TOKEN and (by_name or by_value):
            yield f"{where}: {name} looks like a secret"
    yield from (f"{o.id}: the chart makes a Secret" for o in of(own(objects), "Secret"))


def probes(objects):
    """The façade has all three probes, at ports that it has."""
    spec, container = serving(objects)
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(kind)
        if not probe:
            yield f"no {kind}"
            continue
        port = at(probe, "httpGet", "port") or at(probe, "grpc", "port") or at(probe, "tcpSocket", "port")
        if port is not None and port not in ports(spec):
            yield f"{kind}: no port {port!r}"


def listening(objects):
    """The container's ports are those that the program listens on."""
    spec, container = serving(objects)
    variables = environment(objects, container)
    numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
    for setting in ("MEETING_CONTROL_LISTEN", "MEETING_CONTROL_ADMIN_LISTEN"):
        if variables.get(setting) is None:
            yield f"{setting} is not set"
            continue
        host, port = variables[setting].rsplit(":", 1)
        if int(port) not in numbers.values() or host in ("127.0.0.1", "[::1]", "localhost"):
            yield f"{setting} is {variables[setting]}, the container's ports are {numbers}"


def restricted(objects):
    """Every pod passes the Pod Security Standard "restricted", on a read-only root."""
    for pod, _, spec in pods(objects):
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{pod}: {field}"
        for volume in spec.get("volumes") or []:
            for kind in set(volume) - VOLUMES:
                yield f"{pod}: volume {volume['name']} is a {kind}"
    for where, spec, container in each_container(objects):
        context = (spec.get("securityContext") or {}) | (container.get("securityContext") or {})
        for field in ("runAsNonRoot", "readOnlyRootFilesystem"):
            if context.get(field) is not True:
                yield f"{where}: {field} is {context.get(field)}"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{where}: allowPrivilegeEscalation is not false"
        if context.get("runAsUser") == 0 or context.get("privileged"):
            yield f"{where}: runs as root or privileged"
        if at(context, "seccompProfile", "type") not in ("RuntimeDefault", "Localhost"):
            yield f"{where}: no seccomp profile"
        if at(context, "capabilities", "drop") != ["ALL"] or set(at(context, "capabilities", "add", default=[])) - {
            "NET_BIND_SERVICE"
        }:
            yield f"{where}: capabilities are {context.get('capabilities')}"
        if any(port.get("hostPort") for port in container.get("ports") or []):
            yield f"{where}: takes a port of the host"


def no_token(objects):
    """No pod gets a service account token or the variables of other Services."""
    for pod, _, spec in pods(objects):
        for field in ("automountServiceAccountToken", "enableServiceLinks"):
            if spec.get(field) is not False:
                yield f"{pod}: {field} is not false"
    for o in of(objects, "ServiceAccount"):
        if o.get("automountServiceAccountToken") is not False:
            yield f"{o.id}: automountServiceAccountToken is not false"


def volumes(objects):
    """Every mount has its volume, every volume is mounted and can be read, and files that settings name are in a volume."""
    for pod, _, spec in pods(objects):
        existing = {volume["name"] for volume in spec.get("volumes") or []}
        mounted = {mount["name"] for container in containers(spec) for mount in container.get("volumeMounts") or []}
        yield from (f"{pod}: mounts {name}, which is no volume" for name in mounted - existing)
        yield from (f"{pod}: volume {name} is not mounted" for name in existing - mounted)
        # OpenShift gives a pod without ids a group for its volumes as well.
        context = spec.get("securityContext") or {}
        for volume in spec.get("volumes") or []:
            others_read = at(volume, "secret", "defaultMode", default=0o644) & 0o004
            if not others_read and "runAsUser" in context and "fsGroup" not in context:
                yield f"{pod}: volume {volume['name']} belongs to a group that the pod has not"
    for where, _, container in each_container(objects):
        paths = [mount["mountPath"].rstrip("/") + "/" for mount in container.get("volumeMounts") or []]
        for name, value in environment(objects, container).items():
            is_file = re.fullmatch(
                r"MEETING_CONTROL_(TLS_CERT|TLS_KEY|TLS_CLIENT_CA|UPSTREAM_CA|CA|CERT|KEY)|SSL_CERT_FILE", name
            )
            if is_file and value and not value.startswith(tuple(paths)):
                yield f"{where}: {name} is {value}, where nothing is mounted"


def list_keys(objects):
    """Lists that Kubernetes merges item by item have no item twice, which server-side apply would refuse."""
    for o in objects:
        for path, key, value in walk(o):
            if key in LIST_KEYS and isinstance(value, list):
                items = Counter(tuple(item.get(field) for field in LIST_KEYS[key]) for item in value)
                yield from (f"{o.id}: {path} has {item} {times} times" for item, times in items.items() if times > 1)


def labels(objects):
    """Every object and every pod has the recommended labels."""
    for o in own(objects):
        missing = LABELS - set(at(o, "metadata", "labels", default={}))
        if missing:
            yield f"{o.id}: no label {', '.join(sorted(missing))}"
    for pod, found, _ in pods(own(objects)):
        if not SELECTOR_LABELS <= set(found):
            yield f"{pod}: its pods lack {', '.join(sorted(SELECTOR_LABELS - set(found)))}"


def drain(objects):
    """Kubernetes waits until the program has drained before it kills it."""
    spec, container = serving(objects)
    variables = environment(objects, container)
    longest = sum(seconds(variables.get(f"MEETING_CONTROL_DRAIN_{part}") or "") or 0 for part in ("DELAY", "TIMEOUT"))
    grace = spec.get("terminationGracePeriodSeconds", 30)
    pause = at(container, "lifecycle", "preStop", "sleep", "seconds", default=0)
    if not longest or grace <= longest + pause:
        yield f"the grace period is {grace} s, the drain takes up to {longest + pause} s"


def images(objects):
    """Images have a fixed tag or a digest."""
    for where, _, container in each_container(objects):
        tag = re.search(r":([\w.-]+)\Z", container["image"])
        if not re.search(r"@sha256:[0-9a-f]{64}\Z", container["image"]) and (not tag or tag[1] == "latest"):
            yield f"{where}: image {container['image']}"


def resources(objects):
    """Every container asks for cpu and memory and has a limit of memory, not below what it asks for."""
    for where, _, container in each_container(objects):
        asked, limits = (at(container, "resources", side, default={}) for side in ("requests", "limits"))
        if not {"cpu", "memory"} <= set(asked) or "memory" not in limits:
            yield f"{where}: resources are {container.get('resources')}"
        for resource in set(asked) & set(limits):
            if (amount(asked[resource]) or 0) > (amount(limits[resource]) or 0):
                yield f"{where}: asks for {asked[resource]} of {resource}, limited to {limits[resource]}"


def availability(objects):
    """A rollout takes no replica away first, no one but the autoscaler sets replicas, one replica has no budget."""
    deployment = of(objects, "Deployment")[0]["spec"]
    scaler = next(iter(of(objects, "HorizontalPodAutoscaler")), None)
    replicas = at(scaler, "spec", "minReplicas", default=1) if scaler else deployment.get("replicas", 1)
    if at(deployment, "strategy", "rollingUpdate", "maxUnavailable") not in (0, "0%"):
        yield f"the rollout strategy is {deployment.get('strategy')}"
    if scaler and "replicas" in deployment:
        yield "the Deployment and the autoscaler both set replicas"
    if of(objects, "PodDisruptionBudget") and replicas < 2:
        yield "a budget for one replica keeps nodes from being drained"
    for o in of(objects, "PodDisruptionBudget"):
        share = re.fullmatch(r"(\d+)%", str(at(o, "spec", "minAvailable")))
        stay = math.ceil(int(share[1]) * replicas / 100) if share else at(o, "spec", "minAvailable", default=0)
        if str(at(o, "spec", "maxUnavailable")) in ("0", "0%") or stay >= replicas:
            yield f"{o.id}: lets no pod go"


def protocols(objects):
    """The gRPC port says h2c in plaintext, and never under TLS."""
    tls = environment(objects, serving(objects)[1]).get("MEETING_CONTROL_TLS_CERT")
    for o in of(own(objects), "Service"):
        for port in o["spec"]["ports"]:
            if port["name"] == "grpc" and (
                tls and "h2c" in port.get("appProtocol", "") or not tls and not port.get("appProtocol")
            ):
                yield f"{o.id}: appProtocol is {port.get('appProtocol')} with TLS {'on' if tls else 'off'}"


def texts(objects):
    """No template slipped: no <no value>, no format error, no Go map, and JSON that is JSON."""
    for o in objects:
        for path, key, value in walk(o):
            if isinstance(value, str) and re.search(r"<no value>|%!\w?\(|map\[\w+:", value):
                yield f"{o.id}: {path} is {value[:100]!r}"
            if key.endswith(".json"):
                try:
                    json.loads(value)
                except ValueError as error:
                    yield f"{o.id}: {key}: {error}"
        yield from (f"{o.id}: {path} is null" for path, _, value in walk(o) if value is None)


RULES = [
    names,
    numbers,
    choices,
    deployment_selects_its_pods,
    selectors,
    policies_admit_calls,
    test_pods_get_no_calls,
    references,
    tests_call_the_service,
    variables,
    no_secrets,
    probes,
    listening,
    restricted,
    no_token,
    volumes,
    list_keys,
    labels,
    drain,
    images,
    resources,
    availability,
    protocols,
    texts,
]
