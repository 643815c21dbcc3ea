"""The parser of the one answer: any bytes, in any pieces, end in an answer, a wait or an error that is expected."""

import http.client

from hypothesis import given
from hypothesis import strategies as st

from devices.wire.agent_protocol import Checkpoint, Events, Heartbeat, Readings, decoded, series_of
from devices.wire.http_order import fields
from devices.wire.once import Answered, parse
from fleet.errors import Malformed

pieces = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: 2\r\n", b"Content-Length: -1\r\n",
     b"Transfer-Encoding: chunked\r\n", b"\r\n", b"2\r\n{}\r\n", b"0\r\n\r\n", b"{}", b"\xff", b"zz\r\n"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=12).map(b"".join)), st.booleans())
def test_any_bytes_are_judged(received: bytes, ended: bool) -> None:
    try:
        answer = parse(received, "PUT", ended=ended)
    except (http.client.HTTPException, ValueError):
        return
    assert answer is None or isinstance(answer, Answered)
    if ended:
        assert answer is not None


@given(st.binary(max_size=300), st.integers(0, 400), st.sampled_from([200, 404, 500]))
def test_a_whole_answer_is_found_wherever_it_was_cut_and_never_before_it_is_whole(
    body: bytes, cut: int, status: int
) -> None:
    whole = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    if cut < len(whole):
        assert parse(whole[:cut], "GET", ended=False) is None
    assert parse(whole, "GET", ended=False) == Answered(status, body)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(0, 400))
def test_a_chunked_answer_is_put_together(chunks: list[bytes], cut: int) -> None:
    coded = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded
    if cut < len(whole):
        assert parse(whole[:cut], "GET", ended=False) is None
    assert parse(whole, "GET", ended=False) == Answered(200, b"".join(chunks))


@given(st.binary(max_size=300))
def test_any_body_is_decoded_or_malformed(body: bytes) -> None:
    fields(body)
    for kind in (Heartbeat, Readings, Events, Checkpoint):
        try:
            decoded(body, kind, "node")
        except Malformed:
            continue


@given(st.floats(), st.floats())
def test_only_finite_numbers_become_series(uptime: float, offset: float) -> None:
    heartbeat = Heartbeat(node="n", boot_id="b", uptime_seconds=uptime, at=0, sequence=0)
    assert all(abs(value) < float("inf") for value in series_of(heartbeat, None, offset_seconds=offset).values())
