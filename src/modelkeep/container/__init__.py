"""Containers: a bundle or an installation as an archive or a folder, read strictly."""
