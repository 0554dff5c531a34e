"""A model in a registry, put there by hand: what other programs would have pushed."""

import hashlib
import json
from dataclasses import dataclass

import httpx

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"64",'
    b'"file_type":"unknown","architecture":"amd64","os":"linux"}\n'
)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class PublishedModel:
    """The blobs of a model by what they are for, and its manifest."""

    layers: tuple[tuple[str, bytes], ...]
    config: bytes = CONFIG

    @property
    def blobs(self) -> dict[str, bytes]:
        """Every blob by its digest."""
        contents = [*(content for _, content in self.layers), self.config]
        return {digest_of(content): content for content in contents}

    @property
    def manifest(self) -> bytes:
        """A manifest as nobody here would write it: with blanks, and the keys in another order."""
        layers = [
            {
                "size": len(content),
                "digest": digest_of(content),
                "mediaType": f"application/vnd.ollama.image.{kind}",
            }
            for kind, content in self.layers
        ]
        config = {
            "digest": digest_of(self.config),
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(self.config),
        }
        fields = {
            "mediaType": MANIFEST_TYPE, "schemaVersion": 2, "layers": layers, "config": config
        }  # fmt: skip
        return json.dumps(fields, indent=2).encode()


def publish(
    registry: str, repository: str, tag: str, model: PublishedModel, **options: object
) -> None:
    """Put `model` into the registry at the URL `registry`, as its protocol wants it."""
    with httpx.Client(base_url=registry, timeout=60, **options) as http:  # type: ignore[arg-type]
        for digest, content in model.blobs.items():
            begun = http.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            upload = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
            http.put(upload, content=content).raise_for_status()
        http.put(
            f"/v2/{repository}/manifests/{tag}",
            content=model.manifest,
            headers={"content-type": MANIFEST_TYPE},
        ).raise_for_status()
