"""Checks of the chart as a package, and of the image's Dockerfile."""

import hashlib
import tarfile
import time
import tomllib

import yaml

from chart import ROOT, SCRATCH, complaints, parse, run_helm

# The only ones that Artifact Hub knows.
CATEGORIES = {
    "ai-machine-learning",
    "database",
    "integration-delivery",
    "monitoring-logging",
    "networking",
    "security",
    "storage",
    "streaming-messaging",
}
CHANGES = {"added", "changed", "deprecated", "removed", "fixed", "security"}
LISTS = {
    "changes": {"kind", "description", "links"},
    "images": {"name", "image", "platforms", "whitelisted"},
    "links": {"name", "url"},
    "recommendations": {"url"},
}
NEEDED = {
    "Chart.yaml",
    "LICENSE",
    "README.md",
    "values.yaml",
    "values.schema.json",
    "values-production.yaml",
    "templates/NOTES.txt",
}


def versions(chart):
    """The chart is for the program's version and license."""
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    if chart.metadata["appVersion"] != package["version"]:
        yield f"appVersion is {chart.metadata['appVersion']!r}, the program's version {package['version']!r}"
    if chart.metadata["annotations"].get("artifacthub.io/license") != package["license"]:
        yield f"the license is not {package['license']}"
    if (chart.path / "LICENSE").read_bytes() != (ROOT / "LICENSE").read_bytes():
        yield "LICENSE is not the project's"


def annotations(chart):
    """Artifact Hub understands its annotations."""
    found = {key.removeprefix("artifacthub.io/"): value for key, value in chart.metadata["annotations"].items()}
    yield from (f"{key}: not a string" for key, value in found.items() if not isinstance(value, str))
    yield from (f"{key}: missing" for key in {"category", "license", "changes", "images", "links"} - found.keys())
    if found.get("category") not in CATEGORIES:
        yield f"category: {found.get('category')}"
    for key in ("prerelease", "containsSecurityUpdates"):
        if found.get(key, "false") not in ("true", "false"):
            yield f"{key}: {found[key]}"
    for key, fields in LISTS.items():
        try:
            entries = yaml.safe_load(found.get(key, "[]"))
        except yaml.YAMLError as error:
            yield f"{key}: {error}"
            continue
        if not isinstance(entries, list):
            yield f"{key}: not a list"
            continue
        for entry in entries:
            if not isinstance(entry, dict) or not set(entry) <= fields or entry.get("kind", "added") not in CHANGES:
                yield f"{key}: {entry}"
            elif key == "images" and not entry["image"].endswith(":" + chart.metadata["appVersion"]):
                yield f"{key}: {entry['image']} is not of version {chart.metadata['appVersion']}"


def archive(chart):
    """The package is always the same, holds what a user needs and renders what the directory renders."""
    sums = set()
    for attempt in (1, 2):
        directory = SCRATCH / f"package-{attempt}"
        copy = chart.copy(SCRATCH / "unpacked/meeting-control")
        # Helm 3 does not know the variable.
        run_helm("4", "package", copy, "--destination", directory, environment={"SOURCE_DATE_EPOCH": "1700000000"})
        file = directory / f"meeting-control-{chart.metadata['version']}.tgz"
        sums.add(hashlib.sha256(file.read_bytes()).hexdigest())
        time.sleep(2 - attempt)  # Time stamps count seconds, so one must pass between the two.
    if len(sums) > 1:
        yield "two packages of the same files differ"
    with tarfile.open(file) as tar:
        names = {name.removeprefix("meeting-control/") for name in tar.getnames()}
    yield from (f"lacks {name}" for name in NEEDED - names)
    yield from (f"holds {name}" for name in sorted(names) if name.startswith("ci/") or name.endswith((".orig", "~")))
    for helm in chart.helms:
        whole, packed = (parse(run_helm(helm, "template", "mc", path)) for path in (chart.path, file))
        if whole != packed:
            yield f"Helm {helm}: the package renders other objects than the directory"


def dockerfile(chart):
    """hadolint has nothing to say about the Dockerfile."""
    yield from complaints("hadolint", "--no-color", "Dockerfile", cwd=ROOT)


CHECKS = [versions, annotations, archive, dockerfile]
