"""Templates: under which path (/api/v1/jobs/{job_id}) a request's route stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

from core.errors import Defect

UNMATCHED = "unmatched"
"""No route has this path."""


def install_templates(app: FastAPI) -> None:
    """Note the template of each route; ``scope["route"]`` knows it without the prefix of its router.

    Raises
    ------
    Defect
        A function serves two routes, so that they cannot be told apart.
    """
    templates: dict[Callable[..., Any], str] = {}
    for route in iter_route_contexts(app.routes):
        if route.endpoint is None or route.path is None:
            continue  # a folder of files
        known = templates.setdefault(route.endpoint, route.path)
        if known != route.path:
            raise Defect(f"{route.endpoint.__name__} serves {known} and {route.path}, expected one of them")
    app.state.templates = templates


def template_of(scope: Scope) -> str:
    """Return the template of the route a request came to: few values, and none names anybody."""
    endpoint = scope.get("endpoint")
    if endpoint is None or "app" not in scope:
        return UNMATCHED
    return str(scope["app"].state.templates.get(endpoint, getattr(scope.get("route"), "path", UNMATCHED)))


def methods_at(app: FastAPI, path: str) -> set[str]:
    """Return the methods of every route at a path; a 405 names all of them (RFC 9110 15.5.6).

    Where a path stands in the description itself, what a template would make of it does not count.
    """
    routes = [r for r in iter_route_contexts(app.routes) if r.methods and r.include_in_schema]
    at = [route for route in routes if route.path == path] or [
        route for route in routes if route.path_regex.match(path)
    ]
    return {method for route in at for method in route.methods or ()}


def route_path(scope: Scope) -> str:
    """Return the path that routes match: without the prefix of a proxy that does not strip it."""
    root = str(scope.get("root_path", "")).rstrip("/")
    path = str(scope["path"])
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path
