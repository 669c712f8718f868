"""Copies the comments of the chart's values.yaml into the table of its README and the descriptions of its schema, and
says there which values cannot be taken away with null.

A comment that begins with `# --` stands above the key that it is about; further lines begin with `#` alone. A line that
begins with `##` opens a section. A key whose own keys have no comments is shown whole.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

BEGIN, END = "<!-- values -->", "<!-- end of values -->"


def read(text):
    """The comment of each key by its path, and the section that begins at a path."""
    comments, sections = {}, {}
    comment, section, path = [], None, []
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif found := re.match(r" *# ?(?:-- )?(.*)", line):
            comment = [found[1]] if "# -- " in line else comment and comment + [found[1]]
        else:
            if found := re.match(r"( *)([\w.-]+):", line):
                path = path[: len(found[1]) // 2] + [found[2]]
                if comment:
                    comments[tuple(path)] = " ".join(comment)
                if section:
                    sections[tuple(path)], section = section, None
            comment = []
    return comments, sections


def rows(values, comments, sections):
    """The lines of the table: a heading for each section, a line for each value."""
    documented = {path[:-1] for path in comments}

    def walk(value, path):
        if path in sections:
            yield f"\n### {sections[path]}\n\n| value | default | meaning |\n| --- | --- | --- |"
        name = "`" + ".".join(path) + "`" if path else ""
        if path and path not in comments:
            raise SystemExit(f"values.yaml: {'.'.join(path)} has no comment")
        if path in documented:
            if path:
                yield f"| {name} | | {comments[path]} |"
            for key, child in value.items():
                yield from walk(child, (*path, key))
        else:
            default = json.dumps(value, ensure_ascii=False).replace("|", "\\|") if value not in ("", None) else ""
            yield f"| {name} | {f'`{default}`' if default else ''} | {comments[path]} |"

    return walk(values, ())


def table(text):
    return "\n".join(rows(yaml.safe_load(text), *read(text))).strip()


def needed(value, part):
    """Whether a value cannot be taken away: text, numbers and switches, and what has values of its own."""
    admits_null = "null" in part.get("type", [])
    return not admits_null and (isinstance(value, (str, bool, int)) or bool(value and "properties" in part))


def describe(schema, comments, values):
    """The schema with the comments as descriptions of its properties, and with the keys that are needed."""

    def walk(part, path, values):
        keys = [key for key, child in part.get("properties", {}).items() if needed(values.get(key), child)]
        if keys:
            part["required"] = keys
        for key, child in part.get("properties", {}).items():
            if (*path, key) in comments:
                # In this place in the order of keys, so that a schema without it gets it where the others have it.
                rest = dict(child)
                child.clear()
                child.update({"description": comments[(*path, key)], **{name: rest[name] for name in rest if name != "description"}})
            inner = values.get(key)
            walk(child, (*path, key), inner if isinstance(inner, dict) else {})

    walk(schema, (), values)
    return schema


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ours = Path(__file__).resolve().parents[2] / "helm/meeting-control"
    parser.add_argument("chart", nargs="?", type=Path, default=ours, help="directory of the chart; this project's without it")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    options = parser.parse_args()

    text = (options.chart / "values.yaml").read_text()
    readme, schema = options.chart / "README.md", options.chart / "values.schema.json"
    before, after = readme.read_text().split(BEGIN)[0], readme.read_text().split(END)[1]
    described = describe(json.loads(schema.read_text()), read(text)[0], yaml.safe_load(text))
    wanted = {
        readme: f"{before}{BEGIN}\n\n{table(text)}\n\n{END}{after}",
        schema: json.dumps(described, indent=2, ensure_ascii=False) + "\n",
    }
    stale = [file for file, content in wanted.items() if file.read_text() != content]
    if not options.check:
        for file in stale:
            file.write_text(wanted[file])
    elif stale:
        sys.exit("values.yaml says otherwise than " + " and ".join(file.name for file in stale) + "; run tests/chart/values_table.py")


if __name__ == "__main__":
    main()
