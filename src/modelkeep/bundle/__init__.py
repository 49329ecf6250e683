"""The bundle: manifest, signature, leaves, payload and grants as one artefact."""
