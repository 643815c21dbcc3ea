"""A process of its own on the bus, made to be killed: says each thing it has done, once it is done."""

import asyncio
import json
import sys
from pathlib import Path

import msgspec

from bus.topics import Topic
from tests.contract.bus.harness import numbered, open_at


def say(text: object) -> None:
    print(text, flush=True)


async def publish(bus, topic: str, batch: int) -> None:
    """Numbers up from 0, for ever; says the last of each batch once it is accepted."""
    publisher = await bus.publisher()
    start = 0
    while True:
        await publisher.publish(numbered(topic, batch, start=start))
        start += batch
        say(start - 1)


async def consume(bus, topics: list[str], group: str, commit: bool, limit: int, pause: float = 0.0) -> None:
    """Says each number fetched, and "committed" after each commit."""
    consumer = await bus.consumer(group=group, topics=topics, session_seconds=3.0)
    say("joined")
    while True:
        for record in await consumer.fetch(limit=limit, timeout_seconds=0.2):
            say(int(record.value))
        if commit:
            await consumer.commit()
            say("committed")
        await asyncio.sleep(pause)


async def main() -> None:
    order = json.loads(sys.argv[1])
    topics = {topic.name: topic for topic in msgspec.convert(order.pop("made"), list[Topic])}
    bus = await open_at(order.pop("url"), Path(order.pop("data")), topics, 3)
    await {"publish": publish, "consume": consume}[order.pop("task")](bus, **order)


if __name__ == "__main__":
    asyncio.run(main())
