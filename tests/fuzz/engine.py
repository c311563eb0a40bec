"""The loop of libFuzzer around a scene, which ends the process itself. `tests/fuzz/guest_link.py` starts it, with flags
of libFuzzer and folders of inputs."""

import sys

import atheris

with atheris.instrument_imports(include=["agent.link", "agent.guest"]):
    from tests.fuzz import mutation, scene


def _mutated(data: bytes, size_max: int, seed: int) -> bytes:
    return mutation.mutated(data, size_max, seed, atheris.Mutate)


if __name__ == "__main__":
    atheris.Setup(sys.argv, scene.play, custom_mutator=_mutated)
    atheris.Fuzz()
