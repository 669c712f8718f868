"""Checks of rendered objects against the schemas of Kubernetes and of custom resources, and against policies."""

import functools
import json

import kubernetes_validate.utils as kubernetes

from chart import HERE, SCRATCH, TOOLS, run
from objects import of
from rendering import normalised

# It reads its files anew for each object.
kubernetes.schema_contents = functools.lru_cache(None)(kubernetes.schema_contents)

CUSTOM = {"Certificate", "GRPCRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor"}

# Policies that are not followed, and why.
SKIPPED_POLICIES = {
    "CKV_K8S_8": "test pods run to their end, and a rule of our own wants the probes of the façade",
    "CKV_K8S_9": "as CKV_K8S_8",
    "CKV_K8S_11": "a CPU limit throttles a latency-bound server; the request is what the scheduler needs",
    "CKV_K8S_15": "the tag is fixed, so that a node that has the image needs no registry",
    "CKV_K8S_21": "the namespace is the release's, which is not the template's business",
    "CKV_K8S_35": "the chart sets none; everything.yaml has a user's Secret",
    "CKV2_K8S_6": "it looks at single files; that the NetworkPolicy selects the pods is a rule of our own",
    "CKV_K8S_40": "OpenShift has ids of its own for each namespace; that others are high is a check of our own",
    "CKV_K8S_43": "the digest is a value; it is known only where the image is pushed",
}


def kubernetes_schemas(chart):
    """Objects are what the strict schemas of their Kubernetes version ask for."""
    seen = set()
    for way in chart.ways():
        for o in chart.render(**way):
            if o["kind"] in CUSTOM or (text := (json.dumps(o), way["kube"])) in seen:
                continue
            seen.add(text)
            try:
                kubernetes.validate(dict(o), way["kube"], strict=True)
            except kubernetes.ValidationError as error:
                place = ".".join(map(str, error.absolute_path))
                yield f"{way['name']}, Kubernetes {way['kube']}: {o.id}: {place}: {error.message[:300]}"
            except (kubernetes.SchemaNotFoundError, kubernetes.InvalidSchemaError) as error:
                yield f"{way['name']}: {o.id}: {error.message}"


def custom_schemas(chart):
    """Custom resources are what their operators' schemas ask for, without fields that these would drop."""
    found = {json.dumps(o): o for _, objects in chart.renders() for o in objects if o["kind"] in CUSTOM}
    file = SCRATCH / "custom.json"
    file.write_text(json.dumps(list(found.values())))
    with (HERE / "crds.mjs").open() as script:
        yield from json.loads(run("node", "--input-type=module", "-", file, cwd=TOOLS / "npm", stdin=script))
    if len(chart.files) > 1:
        yield from (f"no values file renders a {kind}" for kind in CUSTOM - {o["kind"] for o in found.values()})


def policies(chart):
    """checkov finds nothing but the policies that are left out, with a reason for each."""
    # It is slow, so equal pods of several values files are shown once; and it takes pods of equal names for one pod.
    found = {}
    for name in chart.files:
        for o in of(chart.render(name), "Deployment", "Pod"):
            found.setdefault(
                json.dumps(o["spec"], sort_keys=True),
                o | {"metadata": o["metadata"] | {"name": f"{name}--{o['metadata']['name']}"}},
            )
    file = SCRATCH / "policies.yaml"
    file.write_text(normalised(found.values()))
    report = json.loads(
        run(
            TOOLS / "checkov/bin/checkov",
            "--file",
            file,
            "--framework",
            "kubernetes",
            "--skip-download",
            "--compact",
            "--quiet",
            "--soft-fail",
            "--output",
            "json",
            "--skip-check",
            ",".join(SKIPPED_POLICIES),
        )
    )
    if not report.get("summary", report).get("passed"):
        yield "checkov has read nothing"
    for failed in report.get("results", {}).get("failed_checks", []):
        yield f"{failed['resource']}: {failed['check_id']} {failed['check_name']}"


CHECKS = [kubernetes_schemas, custom_schemas, policies]
