"""How one script becomes another. Bytes alone seldom make a frame that fits a stream, so steps are changed as well."""

from collections.abc import Callable
from random import Random

from agent.guest import wire
from tests.fuzz import script
from tests.fuzz.script import Act, Step

Mutate = Callable[[bytes, int], bytes]
CHANGES_MAX = 4
_HOST = [act for act in Act if act >= Act.WAIT]
_GUEST = [Act.HELLO, Act.FILL, Act.REPEAT, Act.DEAF, Act.HANG_UP]
_REQUESTS = {Act.EXEC, Act.READ, Act.WRITE, Act.PING, Act.IDENTIFY, Act.RESIZE}
_NUMBERS = (0, 1, 7, 10, 63, 64, 127, 255, 256, 1000, 4096, 32_768, 65_535, (1 << 32) - 1, 1 << 62, 1 << 63)
_CODES = (b"INVALID", b"BUSY", b"NO_SUCH_FILE", b"PERMISSION_DENIED", b"INTERNAL", b"UNAUTHENTICATED", b"\xff", b"")


def mutated(data: bytes, size_max: int, seed: int, mutate: Mutate) -> bytes:
    """Another script of at most `size_max` bytes. `mutate` changes bytes without knowing what they mean."""
    chance = Random(seed)  # noqa: S311
    steps = script.read(data)
    if not steps or chance.random() < 0.2:
        return mutate(data, size_max)
    for _ in range(chance.randint(1, CHANGES_MAX)):
        _change(steps, chance, mutate)
    return script.written(steps)[:size_max]


def _change(steps: list[Step], chance: Random, mutate: Mutate) -> None:
    place = chance.randrange(len(steps) + 1)
    kind = chance.randrange(8)
    if kind <= 2 or place == len(steps):
        steps[place:place] = _guest(steps[:place], chance)
    elif kind == 3:
        steps.insert(place, Step(chance.choice(_HOST), chance.choice(_NUMBERS) & 0xFFFF))
    elif kind == 4 and len(steps) > 1:
        del steps[place]
    elif kind == 5:
        steps.insert(chance.randrange(len(steps)), steps[place])
    elif kind == 6 and steps[place].data:
        # in two, so that a frame comes in pieces
        data = steps[place].data
        cut = chance.randrange(len(data))
        steps[place : place + 1] = [Step(Act.SAY, 0, data[:cut]), Step(Act.SAY, 0, data[cut:])]
    else:
        step = steps[place]
        data = mutate(step.data, len(step.data) + 16) if step.data else b""
        steps[place] = step._replace(operand=chance.choice(_NUMBERS) & 0xFFFF, data=data)


def _guest(before: list[Step], chance: Random) -> list[Step]:
    """Something for the guest to say or do: mostly a frame for a stream that may be open."""
    if chance.random() < 0.2:
        return [Step(chance.choice(_GUEST), chance.choice(_NUMBERS) & 0xFFFF)]
    asked = sum(step.act in _REQUESTS for step in before)
    stream = chance.randint(0, asked + 1)
    kind = chance.choice((wire.CREDIT, *range(wire.DONE, wire.CLOSED + 1)))
    payload = _payload(kind, chance)
    shape = chance.random()
    if shape < 0.1:
        return [script.frame(stream, kind, payload, length=chance.choice(_NUMBERS) & 0xFFFFFFFF)]
    if shape < 0.3:
        # a large one, without many bytes of script
        more = chance.choice((64, 600, 2000, wire.PAYLOAD_BYTES_MAX - len(payload)))
        head = script.frame(stream, kind, payload, length=len(payload) + more)
        if chance.random() < 0.5:
            return [head, Step(Act.FILL, more)]
        return [head, Step(Act.SAY, 0, bytes([chance.randrange(256)])), Step(Act.REPEAT, more - 1)]
    return [script.frame(stream, kind, payload)]


def _payload(kind: int, chance: Random) -> bytes:
    def number(bits: int) -> int:
        return (chance.choice(_NUMBERS) + chance.choice((0, 0, 0, 1, -1))) % (1 << bits)

    match kind:
        case wire.CREDIT:
            return wire.COUNT.pack(number(64))
        case wire.DONE:
            time_ns = 1_700_000_000 * 10**9 + chance.choice((0, 10**7, -(10**9), 10**15))
            return chance.choice((b"", wire.COUNT.pack(number(64)), wire.TIME.pack(time_ns)))
        case wire.FAILED:
            return (
                chance.choice(_CODES)
                + chance.choice((b"\0", b""))
                + bytes(chance.choices(range(256), k=chance.randrange(20)))
            )
        case wire.STARTED:
            return wire.PID.pack(number(32))
        case wire.EXITED:
            return wire.EXIT.pack(number(31), number(8), number(8), number(64))
        case wire.INFO:
            return wire.FILE_INFO.pack(number(64), number(32), number(64))
        case wire.END_OF_FILE | wire.CLOSED:
            return b""
        case _:
            return bytes(chance.randrange(40))
