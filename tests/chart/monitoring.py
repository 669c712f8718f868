"""Checks of the alert rules."""

import itertools
import json
import re
import shutil

import yaml

from chart import HERE, SCRATCH, complaints, read_yaml
from objects import at, of

# As alerts_test.yaml expects the rules.
FOR_TESTS = (
    "metrics.podMonitor.enabled=true,metrics.prometheusRule.renderMode=alwaysRender,"
    "tls.enabled=true,tls.certManager.enabled=true,tls.certManager.issuerRef.name=any"
)


def rule_files(chart):
    """Prometheus takes the rules of every values file."""
    for name, objects in chart.renders():
        for o in of(objects, "PrometheusRule"):
            file = SCRATCH / "rules-of-a-file.yaml"
            file.write_text(yaml.safe_dump(o["spec"]))
            yield from (f"{name}: {said}" for said in complaints("promtool", "check", "rules", file))


def alerts(chart):
    """Every alert has a test in alerts_test.yaml in which it fires, and all tests there pass."""
    rules = of(chart.render(None, "--set", FOR_TESTS), "PrometheusRule")[0]["spec"]
    (SCRATCH / "rules.yaml").write_text(yaml.safe_dump(rules))
    shutil.copy(HERE / "alerts_test.yaml", SCRATCH)
    yield from complaints("promtool", "test", "rules", SCRATCH / "alerts_test.yaml")
    fired = set(re.findall(r'ALERTS\{alertname="(\w+)",alertstate="firing"', (HERE / "alerts_test.yaml").read_text()))
    for test in read_yaml(HERE / "alerts_test.yaml")["tests"]:
        fired |= {case["alertname"] for case in test.get("alert_rule_test") or [] if case.get("exp_alerts")}
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule and rule["alert"] not in fired:
                yield f"{rule['alert']}: fires in no test"
            if "alert" in rule and not rule.get("annotations", {}).get("summary"):
                yield f"{rule['alert']}: no summary"


def alerts_read_the_job(chart):
    """The alerts look at the job name under which the monitors have the pods read."""
    for key, kind in (("serviceMonitor", "ServiceMonitor"), ("podMonitor", "PodMonitor")):
        objects = chart.render(None, "--set", f"metrics.{key}.enabled=true")
        monitor = of(objects, kind)[0]["spec"]
        # Without a relabeling, the job would be named after the Service or the PodMonitor.
        jobs = [
            rule["replacement"]
            for end in monitor.get("endpoints") or monitor["podMetricsEndpoints"]
            for rule in end.get("relabelings") or []
            if rule.get("targetLabel") == "job"
        ]
        text = yaml.safe_dump(of(objects, "PrometheusRule")[0]["spec"], width=10**6)
        wanted = set(re.findall(r'job=\\?"([^"\\]+)', text))
        if wanted != set(jobs):
            yield f"{kind} makes the jobs {jobs}, the alerts read {sorted(wanted)}"


def alerts_fit_the_pods(chart):
    """No alert misses pods that are not wanted, and none advises what the autoscaler or the next upgrade would undo."""

    def rules(values):
        return alerts_of(chart.render(None, "--set", values))

    # From how many pods on; of one pod, the absence is told by the first alone.
    for alert, fewest in {"MeetingControlDown": 1, "MeetingControlReplicasMissing": 2}.items():
        found = [pods for pods in range(4) if alert in rules(f"replicaCount={pods}")]
        if found != list(range(fewest, 4)):
            yield f"{alert} is there for {found} pods"
    bounds = {"true": "autoscaling.maxReplicas", "false": "replicaCount"}
    for enabled, bound in bounds.items():
        said = " ".join(rule["annotations"]["description"] for rule in rules(f"autoscaling.enabled={enabled}").values())
        advised = set(re.findall("raise `(replicaCount|autoscaling.*?)`", said))
        if advised != {bound} or " scale " in said:
            yield f"autoscaling.enabled={enabled}: the alerts advise to raise {advised}, not {bound} alone"
    alone = rules("metrics.prometheusRule.alerts.MeetingControlUpstreamDown.enabled=false")
    if "< 0.5" in alone["MeetingControlUpstreamDownPartly"]["expr"]:
        yield "MeetingControlUpstreamDownPartly leaves cases to an alert that is not there"


def alerts_fit_the_certificate(chart):
    """An alert watches the certificate however it comes, and leaves one that lives for hours the time to be renewed."""
    issued = "tls.enabled=true,tls.certManager.enabled=true,tls.certManager.issuerRef.name=any"
    files = "config.tlsCert=/run/cert.pem,config.tlsKey=/run/key.pem,tests.enabled=false"
    days, hours = 7 * 86400, 10 * 60
    cases = {
        "tls.enabled=false": None,
        "tls.enabled=true,tls.secretName=any": days,
        f"tls.enabled=true,{files}": days,
        issued: days,
        f"{issued},tls.certManager.duration=1h0m0s,tls.certManager.renewBefore=20m0s": hours,
        f"{issued},tls.certManager.duration=1h0m0s,tls.certManager.renewBefore=20m0s,{files}": days,
    }
    for values, wanted in cases.items():
        alert = alerts_of(chart.render(None, "--set", values)).get("MeetingControlCertificateExpiring")
        found = alert and int(alert["expr"].rpartition("< ")[2])
        if found != wanted:
            yield f"{values}: the alert's bound is {found}, not {wanted}"
        elif alert and 60 * int(alert["for"].removesuffix("m")) >= wanted:
            yield f"{values}: the alert comes after the certificate has ended"


def alerts_of(objects):
    """The chart's own alerts, by name."""
    groups = of(objects, "PrometheusRule")[0]["spec"]["groups"]
    return {rule["alert"]: rule for rule in groups[0]["rules"]}


def dashboards(chart):
    """The dashboard is valid by itself, and each release has one of its own, which begins with that release."""
    alone = json.loads((chart.path / "dashboards/meeting-control.json").read_text())
    # The last two are alike where names are joined with a dash.
    releases = [("meetings", "one"), ("meetings", "two"), ("others", "one"), ("a-b", "c"), ("a", "b-c")]
    found = []
    for namespace, name in releases:
        values = f"metrics.dashboard.enabled=true,fullnameOverride={name}"
        maps = of(chart.render(None, "--set", values, namespace=namespace), "ConfigMap")
        [(key, text)] = [item for o in maps if o.id.endswith("-dashboard") for item in o["data"].items()]
        dashboard = json.loads(text)
        found.append({"key": key, "uid": dashboard["uid"], "title": dashboard["title"]})
        if not re.fullmatch(r"[\w-]{1,40}", dashboard["uid"]):
            yield f"Grafana takes no uid {dashboard['uid']}"
        if name not in dashboard["title"]:
            yield f"the title {dashboard['title']!r} does not name {name}"
        chosen = {v["name"]: at(v, "current", "value") for v in dashboard["templating"]["list"]}
        if (chosen["namespace"], chosen["job"]) != (namespace, name):
            yield f"{namespace}/{name}: the dashboard begins with {chosen}"
        if dashboard["panels"] != alone["panels"]:
            yield f"{namespace}/{name}: other panels than those of the file"
    for (one, left), (two, right) in itertools.combinations(zip(releases, found), 2):
        for field in left:
            if left[field] == right[field]:
                yield f"{one} and {two} have the same {field}, {left[field]}"


CHECKS = [rule_files, alerts, alerts_read_the_job, alerts_fit_the_pods, alerts_fit_the_certificate, dashboards]
