#!/usr/bin/env python3
"""Checks that alert rules and dashboard read only what the program exports: metrics, their labels, and the labels' values.

    metrics_exist.py METRICS RULES DASHBOARD

METRICS is the text of /metrics, RULES the `spec` of the PrometheusRule, DASHBOARD Grafana's JSON. Each unknown name is
printed, and the exit status is then 1.
"""

import json
import re
import sys

import yaml

# What Prometheus adds to every series of ours.
TARGET_LABELS = {"namespace", "job", "pod", "instance"}

# What others export: name and labels.
FOREIGN = {"up": set()}

# What the program exports only once it has happened.
LATER = {"meeting_control_upstream_errors_total": {"error_code": set()}}

WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
STRING = r'"(?:[^"\\]|\\.)*"'
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"


def exported(text):
    """The metrics in the text of /metrics: name -> label -> values."""
    metrics = {name: dict(labels) for name, labels in LATER.items()}
    for line in text.splitlines():
        if match := re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$", line):
            labels = metrics.setdefault(match[1], {})
            for label, value in re.findall(rf"(\w+)=({STRING})", match[2] or ""):
                labels.setdefault(label, set()).add(value[1:-1])
    return metrics


def unknown(expr, metrics):
    """The names in a PromQL expression that nobody exports."""
    # Grafana's variables stand for numbers or, within strings, for any value.
    expr = re.sub(r"\[[^\]]*\]", "", expr)
    groups = re.findall(GROUPING, re.sub(STRING, '""', expr))
    bare = re.sub(rf"{STRING}|{GROUPING}|\$\w+", " ", re.sub(r"\{[^}]*\}", "", expr))
    names = [n for n in re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare) if n.lower() not in WORDS]
    labels_of = lambda name: TARGET_LABELS | FOREIGN.get(name, set()) | set(metrics.get(name, {}))
    for name in names:
        if name not in metrics and name not in FOREIGN:
            yield f"metric {name}"
    known = set().union(*map(labels_of, names))
    for label in re.findall(r"\w+", " ".join(groups)):
        if label not in known:
            yield f"label {label} to group by"
    for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", expr):
        for label, operator, value in re.findall(rf"(\w+)\s*(=~|!~|!=|=)\s*({STRING})", matchers):
            if label not in labels_of(name):
                yield f"label {label} of {name}"
            values = metrics.get(name, {}).get(label)
            for choice in value[1:-1].split("|") if values and "$" not in value else []:
                if choice not in values:
                    yield f"value {choice} of label {label} of {name}"


def expressions(rules, dashboard):
    """Every expression, with where it is."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation {annotation['name']}", annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            yield f"variable {variable['name']}", f"count by ({label}) ({selector})"


def faults(metrics_text, rules, dashboard):
    """One sentence for each unknown name."""
    metrics = exported(metrics_text)
    for place, expr in expressions(rules, dashboard):
        for name in unknown(expr, metrics):
            yield f"{place}: nobody exports the {name}"


if __name__ == "__main__":
    if len(sys.argv) != 4 or "--help" in sys.argv:
        sys.exit(__doc__)
    with open(sys.argv[1]) as metrics_file, open(sys.argv[2]) as rules_file, open(sys.argv[3]) as dashboard_file:
        found = list(faults(metrics_file.read(), yaml.safe_load(rules_file), json.load(dashboard_file)))
    print("\n".join(found) or "every metric, label and value is exported")
    sys.exit(bool(found))
