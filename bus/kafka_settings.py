"""How Kafka is asked: the client's settings against its defaults, the topics' settings, and every time limit."""

from typing import Final

from bus.topics import MESSAGE_BYTES, Topic

ANSWER_SECONDS: Final = 5.0
"""How long the broker may take over one question before it counts as away."""
CLOSE_SECONDS: Final = 2.0
CANCELS: Final = 20
"""Requests of one producer that may have to be ended one by one."""
BATCH_BYTES: Final = 1 << 20
"""Of one partition in one request, or a single message beyond it."""
FETCH_BYTES: Final = 2 << 20
"""Of one partition in one answer."""
PROBE_SECONDS: Final = 2.0
"""After so long a silence a consumer asks the broker whether there is something that it does not get."""
HEARTBEAT_SECONDS: Final = 1.0
"""Also how soon a member learns that its group shares anew (aiokafka's default is 3 s)."""
COPIES: Final = 3
"""Replicas of a topic, or one a broker where there are fewer; acknowledged by all but one of them."""
LATEST_SECONDS: Final = 60.0
"""How long reading a compacted topic whole may take."""

PRODUCER: Final = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "max_batch_size": BATCH_BYTES,
    "max_request_size": MESSAGE_BYTES + BATCH_BYTES,
    "request_timeout_ms": int(ANSWER_SECONDS * 1000),
    "retry_backoff_ms": 100,
    "metadata_max_age_ms": 30_000,
}
CONSUMER: Final = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "fetch_max_wait_ms": 500,
    "max_partition_fetch_bytes": FETCH_BYTES,
    "request_timeout_ms": int(ANSWER_SECONDS * 1000),
    "retry_backoff_ms": 100,
    "metadata_max_age_ms": 30_000,
}


def settings_of(topic: Topic, copies: int) -> dict[str, str]:
    """A topic's settings on Kafka. Time is the broker's, so that no producer can date a record."""
    settings = {
        "min.insync.replicas": str(max(1, copies - 1)),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MESSAGE_BYTES + (64 << 10)),
        "cleanup.policy": "compact" if topic.compacted else "delete",
    }
    if topic.compacted:
        settings["min.compaction.lag.ms"] = str(topic.compaction_lag_ms)
    if topic.retention_ms is not None:
        settings["retention.ms"] = str(topic.retention_ms)
        settings["segment.ms"] = str(max(60_000, topic.retention_ms // 24))
    return settings | dict(topic.kafka)
