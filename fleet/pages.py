"""The configuration files as pages of documentation, made from the classes that read them."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fleet.mistakes import bare
from fleet.settings import Settings
from fleet.sitefile import SiteFile

_SETTINGS = """\
# Settings: `hallkeeper.yaml`

Made from `fleet/settings.py`; write it anew with `python -m fleet.pages`. Everything has a default. Relative paths start
at the folder of the file. On SIGHUP the file is read again; a wrong one is reported and the old settings stay.
"""
_SITE = """\
# The site file: `site.yaml`

Made from `fleet/sitefile.py`; write it anew with `python -m fleet.pages`. `hallkeeper site check` reports every mistake
and oddity, `hallkeeper site schema` prints the JSON Schema for editors. Names are unique in the whole site.

Host ranges: `dgx-[001-064]`, `[1-3,7]`, several brackets. In addresses `{name}` is the name, `{index}` its position in
the range from 1, `{number}` the last number in the name, both with an offset where wanted: `127.0.0.1:{index+31000}`.
Anchors, aliases and `<<` work.
"""


def settings_page() -> str:
    """The page `docs/reference/settings.md`."""
    return "\n".join([_SETTINGS, *_sections(Settings)])


def site_page() -> str:
    """The page `docs/reference/site-file.md`."""
    return "\n".join([_SITE, *_sections(SiteFile)])


def _sections(model: type[BaseModel]) -> Iterator[str]:
    """A table for each class, in the order in which they are met."""
    pending, seen = [model], {model}
    while pending:
        here = pending.pop(0)
        yield from (f"## {here.__name__}", "", str(here.__doc__), "")
        yield from ("| key | default | meaning |", "|---|---|---|")
        for name, field in here.model_fields.items():
            inner = _inside(field)
            link = f" ([{inner.__name__}](#{inner.__name__.lower()}))" if inner else ""
            yield f"| `{name}` | {_default(field)} | {field.description}{link} |"
            if inner is not None and inner not in seen:
                seen.add(inner)
                pending.append(inner)
        yield ""


def _inside(field: FieldInfo) -> type[BaseModel] | None:
    """The class that a field holds: itself, in a list, or in a mapping."""
    here: Any = bare(field.annotation)
    while get_args(here):
        inner = [argument for argument in get_args(here) if argument is not Ellipsis]
        here = bare(inner[-1])
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "required"
    if default is None or default in ((), {}) or isinstance(default, BaseModel):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    from pathlib import Path

    for _page, _text in (("settings", settings_page()), ("site-file", site_page())):
        Path(f"docs/reference/{_page}.md").write_text(_text, encoding="utf-8")
