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
    "metrics.podMonitor.enabled=true,"
    "metrics.prometheusRule.enabled=true,metrics.prometheusRule.renderMode=alwaysRender,"
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
        objects = chart.render(None, "--set", f"metrics.prometheusRule.enabled=true,metrics.{key}.enabled=true")
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
    monitored = "metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true,"

    def rules(values):
        rules = of(chart.render(None, "--set", monitored + values), "PrometheusRule")[0]["spec"]["groups"][0]["rules"]
        return {rule["alert"]: rule for rule in rules}

    for alert in ("MeetingControlDown", "MeetingControlReplicasMissing"):
        if alert not in rules("replicaCount=1") or alert in rules("replicaCount=0"):
            yield f"{alert} does not go by whether there are to be pods"
    bounds = {"true": "autoscaling.maxReplicas", "false": "replicaCount"}
    for enabled, bound in bounds.items():
        said = " ".join(rule["annotations"]["description"] for rule in rules(f"autoscaling.enabled={enabled}").values())
        advised = set(re.findall("raise `(replicaCount|autoscaling.*?)`", said))
        if advised != {bound} or " scale " in said:
            yield f"autoscaling.enabled={enabled}: the alerts advise to raise {advised}, not {bound} alone"
    alone = rules("metrics.prometheusRule.alerts.MeetingControlUpstreamDown.enabled=false")
    if "< 0.5" in alone["MeetingControlUpstreamDownPartly"]["expr"]:
        yield "MeetingControlUpstreamDownPartly leaves cases to an alert that is not there"


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


CHECKS = [rule_files, alerts, alerts_read_the_job, alerts_fit_the_pods, dashboards]
