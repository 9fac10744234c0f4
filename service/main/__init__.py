"""Composition root of the service, a module a role: the only place here that builds things."""

from service.main.access import open_keys
from service.main.api import ApiRoleSettings, run_api
from service.main.deliver import DeliverRoleSettings, run_delivery
from service.main.receive import load_receive_settings, run_door, run_receiver
from service.main.upkeep import load_upkeep_settings, open_retention_by_hand, run_upkeep

__all__ = [
    "ApiRoleSettings",
    "DeliverRoleSettings",
    "load_receive_settings",
    "load_upkeep_settings",
    "open_keys",
    "open_retention_by_hand",
    "run_api",
    "run_delivery",
    "run_door",
    "run_receiver",
    "run_upkeep",
]
