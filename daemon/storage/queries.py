"""SQL by name: every statement stands in a `.sql` file beside the module that runs it."""

import re
from functools import cache
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(name: str, package: str = "daemon.storage") -> dict[str, str]:
    """The statements of `<name>.sql`, each under the name of its `-- name:` line."""
    text = resources.files(package).joinpath(f"{name}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    return {key: sql.strip() for key, sql in zip(parts[1::2], parts[2::2], strict=True)}
