"""Breaks the chart on purpose, one way after the other, and sees that the right check notices."""

from chart import HERE, KUBES, SCRATCH, Chart, read_yaml

# They look at files outside the chart's directory, of which there is no copy to break.
WITHOUT = {"dockerfile", "mutations"}


def check_of(checks, tell):
    def mutations(chart):
        """Each break of the chart in mutations.yaml is noticed by the check that it names, and every check has one."""
        listed = read_yaml(HERE / "mutations.yaml")
        for mutation in listed:
            try:
                mutant = Mutant(chart, mutation)
                found = next(iter(checks[mutation["check"]](mutant)), None)
                mutant.was_changed()
            except Exception as error:
                # Not what was to be broken: the check did not come to its end.
                yield f"{mutation['name']}: {type(error).__name__}: {error}"
                continue
            if found is None:
                yield f"{mutation['name']}: {mutation['check']} did not notice"
            elif tell:
                print(f"{mutation['name']}: {mutation['check']}: {found.splitlines()[0]}")
        yield from (
            f"no mutation for {name}" for name in checks.keys() - {mutation["check"] for mutation in listed} - WITHOUT
        )

    return mutations


class Mutant(Chart):
    """A changed copy of the chart, with as few renderings as show the change."""

    def __init__(self, chart, mutation):
        path = chart.copy(SCRATCH / "mutant/meeting-control")
        for edit in mutation.get("edits", []):
            file = path / edit["file"]
            text = file.read_text()
            if edit.get("replace", "") not in text:
                raise LookupError(f"{edit['file']} holds no {edit['replace']!r}")
            file.write_text(text.replace(edit["replace"], edit["with"]) if "replace" in edit else text + edit["with"])
        self.wanted = mutation.get("objects", [])
        self.applied = []
        super().__init__(path, mutation.get("values", ["everything"]), ["4"], KUBES[-1:])

    def change(self, objects):
        """Sets or takes away fields of rendered objects, for mistakes that would need long edits of templates."""
        for wanted in self.wanted:
            for place in [o for o in objects if wanted["object"] in (o["kind"], o.id)][:1]:
                *path, last = [
                    int(part) if part.isdigit() else part.replace("~", "/") for part in wanted["field"].split("/")
                ]
                for part in path:
                    place = place[part]
                if "to" in wanted:
                    place[last] = wanted["to"]
                else:
                    del place[last]
                self.applied.append(wanted)

    def was_changed(self):
        for wanted in self.wanted:
            if wanted not in self.applied:
                raise LookupError(f"no {wanted['object']} was rendered")
