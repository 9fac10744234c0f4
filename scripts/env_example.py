"""Write .env.example from the settings classes, or check that it is up to date (--check)."""

from __future__ import annotations

import sys
from pathlib import Path

from core import settings

TARGET = Path(__file__).resolve().parent.parent / ".env.example"
HEADER = """\
# Every setting of metserve, with its default. Copy to .env and change what differs at your site.
# Lists and tables are JSON. The same names, in lower case, may stand in tables of a TOML file that
# METSERVE_CONFIG names. Made from core/settings by `make fix`; do not edit.
"""


def main() -> int:
    """Write or check; return the exit status."""
    text = HEADER + "".join(_section(role) for role in settings.ROLE_SETTINGS)
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is out of date: run `make fix`", file=sys.stderr)
    return 1


def _section(role: type[settings.RoleSettings]) -> str:
    prefix = str(role.model_config.get("env_prefix", ""))
    title = (role.__doc__ or "").strip().splitlines()[0]
    lines = [f"\n# --- {title}\n"]
    for name, field in role.model_fields.items():
        lines += [f"# {line}\n" for line in (field.description or "").splitlines()]
        lines.append(f"#{prefix}{name.upper()}={_rendered(field.get_default())}\n")
    return "".join(lines)


def _rendered(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "[" + ",".join(f'"{item}"' for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
