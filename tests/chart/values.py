"""Checks of values.yaml, its schema and its table against each other and against the program's flags."""

import functools
import json
import re
import shlex
import textwrap

import jsonschema
import yaml

import values_table
from chart import APIS, HERE, ROOT, SCRATCH, Refused, attempt, complaints, in_parallel
from chart import merged, parse, read_yaml, run, run_helm
from objects import RULES, of
from program import BINARY, Program

# What a parent chart sets, and no default is needed for.
PARENTS = {"enabled"}


def schema_is_a_schema(chart):
    """values.schema.json is a valid JSON schema."""
    yield from complaints("check-jsonschema", "--check-metaschema", chart.path / "values.schema.json")


def schema_and_values(chart):
    """The schema and values.yaml have the same keys, each is described, and no other is admitted."""
    root = json.loads((chart.path / "values.schema.json").read_text())
    documented = {path[:-1] or ("",) for path in values_table.read((chart.path / "values.yaml").read_text())[0]}

    def compare(schema, value, path):
        while "$ref" in schema:
            target = root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = {**target, **{key: content for key, content in schema.items() if key != "$ref"}}
        if path and not schema.get("description"):
            yield f"{path}: no description in the schema"
        if "default" in schema and schema["default"] != value:
            yield f"{path}: default {schema['default']!r} in the schema, {value!r} in values.yaml"
        if not schema.get("properties"):
            return
        if schema.get("additionalProperties") is not False and path != "global":
            yield f"{path or 'the root'}: the schema admits unknown keys"
        known, present = set(schema["properties"]), set(value or {})
        here = f"{path}." if path else ""
        yield from (f"{here}{key}: in values.yaml, not in the schema" for key in sorted(present - known))
        # What is shown whole in values.yaml is Kubernetes' own, and may have more keys than are set there.
        if tuple(path.split(".")) in documented:
            missing = known - present - (set() if path else PARENTS)
            yield from (f"{here}{key}: in the schema, not in values.yaml" for key in sorted(missing))
        for key in sorted(known & present):
            yield from compare(schema["properties"][key], value[key], here + key)

    yield from compare(root, chart.defaults, "")
    yield from (f"the root does not admit {key}" for key in PARENTS | {"global"} if key not in root["properties"])


def nulls(chart):
    """A value that the user takes away with null is done without or asked for; no template trips over it."""
    schema = json.loads((chart.path / "values.schema.json").read_text())
    schema = jsonschema.validators.validator_for(schema)(schema)
    values = chart.values("everything")

    def keys(part, *path):
        for key, value in part.items():
            yield (*path, key)
            yield from keys(value, *path, key) if isinstance(value, dict) else ()

    def without(path):
        return merged(values, functools.reduce(lambda inner, key: {key: inner}, reversed(path), None))

    def render(path):
        return attempt(chart.render, "everything", "--set-json", ".".join(path) + "=null")

    # What the schema asks for needs no rendering, of which there would be hundreds.
    optional = [path for path in keys(chart.defaults) if schema.is_valid(without(path))]
    for path, outcome in in_parallel(render, optional):
        # A fail says where it is and what is wrong, in one line or below it.
        if isinstance(outcome, Refused) and not re.search(r"execution error at .*:\d+\): \n?\w", str(outcome)):
            yield f"{'.'.join(path)}: {outcome}"


def readme_table(chart):
    """README.md tells every value, as values.yaml does."""
    yield from complaints("python", HERE / "values_table.py", "--check", chart.path)


def overrides_only(chart):
    """values-production.yaml says nothing that values.yaml says as well."""

    def repeated(other, base, path):
        if isinstance(other, dict) and isinstance(base, dict):
            for key in other.keys() & base.keys():
                yield from repeated(other[key], base[key], f"{path}.{key}" if path else key)
        elif other == base:
            yield f"{path} is {base!r} by default"

    yield from repeated(read_yaml(chart.path / "values-production.yaml"), chart.defaults, "")


def readme_examples(chart):
    """What the READMEs show, as values or as a Helm command, leads to objects that fit the rules."""
    readme = (chart.path / "README.md").read_text()
    examples = []
    for number, block in enumerate(re.findall(r"^( *)```yaml\n(.*?)^\1```$", readme, re.M | re.S)):
        text = textwrap.dedent(block[1])
        file = SCRATCH / f"readme/{number}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        examples.append((text.splitlines()[0], ["mc", chart.path, "--values", file]))
    texts = readme + (ROOT / "README.md").read_text()
    for command in re.findall(r"^ *helm (?:install|upgrade --install) (.*)", texts, re.M):
        # Without the reader's own file, and without the wait for a cluster.
        words = shlex.split(command.replace(" -f mine.yaml", "").replace(" --wait", ""))
        examples.append((command, [re.sub("^helm/meeting-control", str(chart.path), word) for word in words]))
    apis = [argument for api in APIS for argument in ("--api-versions", api)]

    def render(example):
        return attempt(run_helm, chart.helms[-1], "template", *example[1], *apis)

    for (name, _), said in in_parallel(render, examples):
        if isinstance(said, Refused):
            yield f"{name}: {said}"
            continue
        objects = parse(said)
        yield from (f"{name}: {message}" for rule in RULES for message in rule(objects))
    if len(examples) < 15:
        yield f"the READMEs have {len(examples)} examples"


@functools.cache
def flags():
    """Each flag of serve: its key in the values, its variable, what it takes, its default."""
    found = {}
    for block in re.split(r"\n(?=      --)", run(BINARY, "serve", "--help")):
        if option := re.match(r"\s+--([a-z-]+)(?: <(\w+)>)?\n", block):
            key = re.sub(r"-(.)", lambda match: match[1].upper(), option[1])
            # On a line of its own: the words of the help may speak of defaults as well.
            default = re.search(r"^ +\[default: (.*)\]$", block, re.M)
            found[key] = (re.search(r"\[env: (\w+)", block)[1], option[2], default and default[1])
    return found


def flags_are_values(chart):
    """config has one key for each flag of serve, with the flag's default."""
    known = flags()
    config = chart.defaults["config"]
    yield from (f"config has no {key}" for key in known.keys() - config.keys())
    yield from (f"serve has no flag for config.{key}" for key in config.keys() - known.keys())
    for key, (_, takes, default) in known.items():
        if default is None:
            default = {None: False, "NAME": []}.get(takes, "")
        if key in config and str(config[key]) != str(default):
            yield f"config.{key} is {config[key]!r} by default, the flag {default!r}"


def other_value(key, takes, default):
    """A value of a setting that is not its default."""
    if takes in ("ADDRESS", "DURATION", "NUMBER"):
        before, number, unit = re.fullmatch(r"(.*?)(\d+)(\w*)", default or "0").groups()
        return f"{before}{int(number) + 1}{unit}" if before or unit else int(number) + 1
    return {
        None: True,
        "FILE": f"/etc/ssl/{key}.pem",
        "FILTER": "warn",
        "FORMAT": "json",
        "NAME": ["a.example", "*.b.example"],
        "URL": "https://upstream.example",
    }[takes]


def as_variable(value):
    """A value as the program's environment has it."""
    if isinstance(value, list):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def settings_reach_the_program(chart):
    """Every setting that is changed arrives in the config map, under its variable's name."""
    config = {key: other_value(key, takes, default) for key, (_, takes, default) in flags().items()}
    tls = {"enabled": True, "secretName": "any", "clientCa": {"enabled": True, "secretName": "any"}}
    file = SCRATCH / "changed-settings.yaml"
    file.write_text(yaml.safe_dump({"config": config, "tls": tls}))
    variables = {}
    for o in of(chart.render(None, "--values", file), "ConfigMap"):
        variables |= o.get("data") or {}
    for key, (variable, _, _) in flags().items():
        wanted = as_variable(config[key])
        if variables.get(variable) != wanted:
            yield f"config.{key}={wanted}: {variable} is {variables.get(variable)!r}"


# Values at the edge of what a setting may be, on this side and on the other.
RIGHT = {
    "allowPlaintextUpstream": [True],
    "attemptTimeout": ["2s", "10s", "9000ms"],
    "connectTimeout": ["1ms"],
    "drainDelay": ["0s", "1ms", "24h"],
    "drainTimeout": ["0s", "1m 30s", "86400s"],
    "logFilter": ["off", "info,meeting_control=debug", "meeting_control::upstream=trace"],
    "logFormat": ["auto", "text", "json"],
    "maxConnectionAge": ["1ms", "24h", "1h 30m 5s 250ms"],
    "maxConnectionAgeGrace": ["0s", "24h"],
    "maxInFlight": [1, 1_000_000],
    "maxInFlightPerCaller": [0, 1, 4_294_967_295],
    "maxRetries": [0, 10],
    "maxTokens": [0, 1, 1_000_000],
    "timeout": ["5s", "24h"],
    "upstream": [
        "https://a.example",
        "https://a.example/",
        "https://a.example:8443/base/",
        "https://[::1]:8443",
        "http://127.0.0.1:8080",
        "http://localhost",
    ],
}
WRONG = {
    "adminListen": ["127.0.0.1", ":9090", "localhost:9090", "0.0.0.0:65536", "256.0.0.1:9090", "[::g]:9090"],
    "attemptTimeout": ["0s", "0ms", "5", "-1s", "5S", "s", "5s,"],
    "connectTimeout": ["0s"],
    "drainDelay": ["forever", "24h 1ms", "1y"],
    "drainTimeout": ["25h", "1m 30"],
    "listen": ["0.0.0.0", "0.0.0.0:x", "::1:50051"],
    "logFormat": ["JSON", "xml"],
    "maxConnectionAge": ["0s", "25h", "1441m"],
    "maxConnectionAgeGrace": ["24h 1s"],
    "maxInFlight": [0, 1_000_001, -1, 1.5],
    "maxInFlightPerCaller": [4_294_967_296, -1, 1.5, "half"],
    "maxRetries": [11, -1],
    "maxTokens": [1_000_001, -1, 1.5],
    "timeout": ["0s", "1w"],
    "upstream": [
        "a.example",
        "ftp://a.example",
        "https://",
        "https://a.example?x=1",
        "https://a.example#x",
        "https://user@a.example",
        "https://a b",
        "http://a.example",
    ],
}


def edges(chart):
    """What the program accepts at the edge of a setting the chart accepts, and what it refuses the chart refuses."""
    cases = [
        (right, key, value)
        for right, edges in ((True, RIGHT), (False, WRONG))
        for key, values in edges.items()
        for value in values
    ]
    programs = []
    try:
        for _, key, value in cases:
            variables = {flags()[key][0]: as_variable(value)}
            programs.append(Program(f"edge-{len(programs)}", "serve", variables, keep=variables))
        for (right, key, value), program in zip(cases, programs):
            if program.ready() != right:
                yield f"the program {'refuses' if right else 'accepts'} config.{key}={value!r}: {program.said()}"
    finally:
        for program in programs:
            program.process.kill()

    def render(case):
        _, key, value = case
        return attempt(chart.render, None, "--set-json", f"config.{key}={json.dumps(value)}")

    for (right, key, value), outcome in in_parallel(render, cases):
        refused = isinstance(outcome, Refused)
        if not right and not refused:
            yield f"the chart accepts config.{key}={value!r}"
        elif refused and (right or not re.search(rf"/config/{key}'|config\.{key} ", str(outcome))):
            yield f"the chart refuses config.{key}={value!r}: {outcome}"


CHECKS = [
    schema_is_a_schema,
    schema_and_values,
    nulls,
    readme_table,
    overrides_only,
    readme_examples,
    flags_are_values,
    settings_reach_the_program,
    edges,
]
