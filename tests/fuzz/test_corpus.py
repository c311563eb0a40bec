import asyncio

import pytest

from agent.drivers.driver import ExecEvent
from agent.guest import wire
from agent.link.channel import Channel
from agent.link.process import GuestProcess
from agent.link.stream import Stream
from tests.fuzz import clock, corpus, scene, script
from tests.fuzz.guest_link import CORPUS, INPUT_BYTES_MAX
from tests.fuzz.script import Act, Step, frame
from tests.fuzz.seeds import HELLO, SEEDS, STARTED

FILES_MAX = 200
CORPUS_BYTES_MAX = 200_000


@pytest.mark.parametrize("name", SEEDS)
def test_the_link_keeps_its_promises_with(name: str) -> None:
    scene.play(script.written(SEEDS[name]))


def test_whatever_a_fuzzer_ever_found_keeps_its_promises() -> None:
    for data in corpus.inputs(CORPUS):
        try:
            scene.play(data)
        except Exception as error:
            error.add_note(f"in corpus/guest_link/{corpus.name(data)}: {script.read(data)}")
            raise


def test_the_corpus_is_small_and_each_input_bears_its_name() -> None:
    found = corpus.inputs(CORPUS)
    assert 0 < len(found) < FILES_MAX
    assert sum(map(len, found)) < CORPUS_BYTES_MAX
    assert max(map(len, found)) <= INPUT_BYTES_MAX
    assert {path.name for path in CORPUS.iterdir()} == {corpus.name(data) for data in found}


@pytest.mark.parametrize("data", corpus.inputs(CORPUS)[:20], ids=corpus.name)
def test_a_script_is_what_was_read_of_it(data: bytes) -> None:
    steps = script.read(data)
    assert script.read(script.written(steps)) == steps


def _plays(*steps: Step) -> None:
    scene.play(script.written([HELLO, *steps]))


# The bugs that it has to notice: each breaks the link in one way, and a short script shows it.


def test_an_exception_of_another_kind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_process: GuestProcess, _kind: int, _payload: bytes) -> ExecEvent:
        raise ZeroDivisionError

    monkeypatch.setattr(GuestProcess, "_event", broken)
    with pytest.raises(ZeroDivisionError):
        _plays(Step(Act.EXEC, 1), STARTED)


def test_an_exception_that_only_the_event_loop_sees_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_stream: Stream, _kind: int, _payload: bytes) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(Stream, "_check", broken)
    with pytest.raises(scene.Finding, match="unforeseen"):
        _plays(Step(Act.EXEC, 1), STARTED)


def test_memory_without_a_bound_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "_check", lambda _stream, _kind, _payload: None)
    with pytest.raises(AssertionError, match="frames"):
        _plays(Step(Act.EXEC, 0), STARTED, frame(1, wire.STDOUT, b"x"), Step(Act.REPEAT, 5000))


def test_a_wait_without_an_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stream, "fail", lambda _stream, _error: None)
    with pytest.raises(clock.Hang, match="is gone"):
        _plays(Step(Act.EXEC, 1), STARTED, Step(Act.HANG_UP))


def test_a_deadline_that_is_not_kept_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def patient(stream: Stream, _deadline_seconds: float | None = None) -> tuple[int, bytes]:
        return await real(stream, None)

    real = Stream.next
    monkeypatch.setattr(Stream, "next", patient)
    with pytest.raises(clock.Hang, match="still waits"):
        _plays(Step(Act.PING))


def test_a_loop_that_goes_round_for_ever_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(_stream: Stream) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(clock, "LOOKS_MAX", 5_000)
    monkeypatch.setattr(Stream, "_wait", busy)
    with pytest.raises(clock.Hang, match="no end"):
        _plays(Step(Act.PING))


def test_a_link_that_disturbs_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    shared: dict[int, Stream] = {}
    real = Channel.connection_made

    def mixed(channel: Channel, transport: asyncio.BaseTransport) -> None:
        real(channel, transport)
        channel.streams = shared  # type: ignore[assignment]

    monkeypatch.setattr(Channel, "connection_made", mixed)
    with pytest.raises(AssertionError):
        _plays(frame(1, wire.DONE))


def test_a_log_that_a_guest_can_fill_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.link.stream.DETAIL_BYTES_MAX", 1 << 20)
    with pytest.raises(AssertionError, match="go to the log"):
        _plays(Step(Act.READ, 1), frame(1, wire.FAILED, b"\x01" * 1000))


def test_minimising_keeps_what_reaches_more_and_drops_what_does_not() -> None:
    small = script.written([HELLO, Step(Act.PING)])
    same = script.written([HELLO, Step(Act.PING, 1)])
    more = script.written([HELLO, Step(Act.EXEC, 1), STARTED])
    kept, reached = corpus.minimised(scene.play, [], [more, same, small])
    assert kept == [small, more]
    assert corpus.minimised(scene.play, [more], [more, same, small])[0] == [small]
    assert ("process.py", "GuestProcess._event") in {feature[:2] for feature in reached}
