"""Machines that run no code: for tests of everything above the driver, by the thousand. Never chosen by default."""

from agent.drivers.simulated.driver import SimulatedDriver
from agent.drivers.simulated.faults import POINTS, Die, Fail, Faults, Hang

__all__ = ["POINTS", "Die", "Fail", "Faults", "Hang", "SimulatedDriver"]
