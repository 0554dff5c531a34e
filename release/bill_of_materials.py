"""The bill of materials in CycloneDX's JSON: every wheel of the release with hash and licence."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.metadata import Wheel, read_wheels
from release.names import NAME, VERSION
from release.reproducible import source_date

ENGINE = "llama_cpp_python"


def bill_of_materials(house: Path) -> str:
    """Return the document; its serial number is derived from what it lists."""
    components = [_component(wheel) for wheel in read_wheels(house)]
    text = json.dumps(components, sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(source_date(), UTC).isoformat(),
            "component": {"type": "application", "name": NAME, "version": VERSION},
        },
        "components": components,
    }
    return json.dumps(document, indent=2) + "\n"


def _component(wheel: Wheel) -> dict[str, Any]:
    name = wheel.name.lower().replace("_", "-")
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": wheel.file,
        "name": wheel.name,
        "version": wheel.version,
        "purl": f"pkg:pypi/{name}@{wheel.version}?file_name={wheel.file}",
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "licenses": [{"license": {"name": wheel.licence}}],
    }
    if wheel.file.startswith(ENGINE):
        inner = ("llama.cpp", "MIT"), ("libgomp", "GPL-3.0-or-later WITH GCC-exception-3.1")
        component["components"] = [
            {"type": "library", "name": each, "licenses": [{"expression": licence}]}
            for each, licence in inner
        ]
    return component
