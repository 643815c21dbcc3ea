"""What no bus would take, said the same way by every adapter before anything is sent."""

from collections.abc import Mapping

from bus.port import Message
from bus.topics import MESSAGE_BYTES, Topic, partition_of


def placed(message: Message, topics: Mapping[str, Topic], counts: Mapping[str, int]) -> int:
    """The partition it goes to. Raises `ValueError`: unknown topic, too large, or a partition that is not there."""
    if message.topic not in topics:
        raise unknown_topic(message.topic, topics)
    if len(message.value) > MESSAGE_BYTES:
        raise ValueError(
            f"{message.topic} {message.key!r}: {len(message.value)} bytes, the limit is {MESSAGE_BYTES}, try splitting it"
        )
    count = counts[message.topic]
    partition = partition_of(message.key, count) if message.partition is None else message.partition
    if not 0 <= partition < count:
        raise ValueError(
            f"{message.topic} {message.key!r}: partition {partition} is not there, it has 0 to {count - 1};"
            " try opening the bus with one more than the highest zone number"
        )
    return partition


def unknown_topic(topic: str, topics: Mapping[str, Topic]) -> ValueError:
    """The error for a topic that is not one of ours."""
    return ValueError(f"topic {topic!r} is not known, try one of {', '.join(sorted(topics))}")
