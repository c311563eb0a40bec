"""What must hold of a link and of what comes out of it, whatever the guest says."""

from agent.drivers.driver import ExecEvent, Exited, FileInfo, Output, Started
from agent.errors import AgentError, Code
from agent.guest import wire
from agent.link.channel import WRITE_BUFFER_MAX, Channel
from agent.link.process import DURATION_US_MAX, PID_MAX, SIGNAL_MAX
from agent.link.stream import MESSAGE_CHARACTERS_MAX, Stream

DETAIL_CHARACTERS_MAX = 1000
"""Of an error, for the log: a guest must not fill it."""
FRAMES_MAX = wire.OUTPUT_WINDOW // wire.FRAME_COST + 2  # data, what comes once, and the end
STREAM_BYTES_MAX = wire.OUTPUT_WINDOW + wire.PAYLOAD_BYTES_MAX  # data within the window, and the end
# Credit for each step of a window, END and CLOSE: 3 KiB a stream, 1 MiB a link.
HELD_BYTES_MAX = wire.STREAMS_MAX * (wire.OUTPUT_WINDOW // wire.CREDIT_STEP + 2) * 32
_FROM_GUEST = frozenset(Code) - {Code.STALE_GENERATION, Code.WRONG_STATE, Code.UNAUTHENTICATED, Code.NO_CAPACITY}


def check_channel(channel: Channel) -> None:
    """Memory is bounded, each part of it by its name."""
    assert len(channel._inbox) < wire.HEADER.size + wire.PAYLOAD_BYTES_MAX, "a frame is kept that should be delivered"
    assert len(channel._held) <= HELD_BYTES_MAX, f"{len(channel._held)} bytes are held back"
    assert len(channel.streams) <= wire.STREAMS_MAX, f"{len(channel.streams)} streams"
    if channel._transport is not None:
        assert channel._transport.get_write_buffer_size() <= WRITE_BUFFER_MAX, "the guest does not read"
    for number, stream in channel.streams.items():
        assert isinstance(stream, Stream)
        assert stream.number == number
        assert not stream.ended, "a stream that has ended is still there"
        check_stream(stream)
    if channel.error is not None:
        assert not channel.streams, "streams outlived their connection"
        assert not channel._inbox, "bytes outlived their connection"


def check_stream(stream: Stream) -> None:
    """A stream that nobody reads holds its window, and no more."""
    assert len(stream._frames) <= FRAMES_MAX, f"{len(stream._frames)} frames"
    assert sum(len(payload) for _, payload in stream._frames) <= STREAM_BYTES_MAX
    if stream._error is not None:
        assert not stream._frames, "an unfinished answer outlived its connection"
    else:  # what was too much has ended the connection
        assert 0 <= stream._send_credit <= stream._window, f"{stream._send_credit} bytes may be sent"
        assert 0 <= stream._receive_credit <= wire.OUTPUT_WINDOW, f"{stream._receive_credit} bytes may come"


def check_error(error: AgentError) -> None:
    """It is fit for a program, a person and a log."""
    assert error.code in _FROM_GUEST, f"{error.code} is not for a guest to say"
    assert error.message.isprintable()
    assert 0 < len(error.message) <= MESSAGE_CHARACTERS_MAX
    assert error.detail.isprintable(), f"{error.detail[:100]!r} goes to the log"
    assert len(error.detail) <= DETAIL_CHARACTERS_MAX, f"{len(error.detail)} characters go to the log"


def check_event(event: ExecEvent) -> None:
    """It is something that can have happened."""
    match event:
        case Started(pid):
            assert 1 <= pid <= PID_MAX
        case Output(stream, data):
            assert stream in (1, 2)
            assert 0 < len(data) <= wire.PAYLOAD_BYTES_MAX
        case Exited(exit_code, signal, timed_out, duration_us):
            assert 0 <= exit_code <= 255
            assert 0 <= signal <= SIGNAL_MAX
            assert isinstance(timed_out, bool)
            assert 0 <= duration_us <= DURATION_US_MAX


def check_file(info: FileInfo) -> None:
    """It fits into what it travels in further on."""
    assert 0 <= info.size_bytes < 1 << 63
    assert 0 <= info.mode <= 0o7777
    assert 0 <= info.modified_ns < 1 << 63
