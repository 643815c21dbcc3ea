"""One file per group of commands; each exposes Typer functions that `hallkeeper.cli` mounts."""
