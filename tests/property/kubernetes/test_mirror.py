"""Laws of the mirror: a list says the same as the events that lead to it, and any JSON is an object or malformed."""

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from devices.wire.kubernetes_facts import Node, Pod, job_of, node_of, pod_of, time_ms
from devices.wire.kubernetes_mirror import SERIES_LIMIT, Mirror
from devices.wire.kubernetes_objects import (
    Condition,
    JobObject,
    NodeObject,
    Page,
    PodObject,
    Status,
    Taint,
    Versioned,
    WatchEvent,
    decoded,
)
from devices.wire.names import name_in
from fleet.errors import Malformed

words = st.sampled_from(["a", "b", "c"])
nodes = st.builds(
    Node,
    name=words,
    version=st.just("1"),
    unschedulable=st.booleans(),
    taints=st.lists(st.builds(Taint, key=words, effect=words), max_size=2).map(tuple),
    conditions=st.lists(
        st.builds(
            Condition,
            type=st.sampled_from(["Ready", "DiskPressure"]),
            status=st.sampled_from(["True", "False", "Unknown"]),
        ),
        max_size=2,
        unique_by=lambda condition: condition.type,
    ).map(tuple),
)
pods = st.builds(
    Pod,
    namespace=st.just("ns"),
    name=words,
    uid=words,
    node=st.one_of(st.none(), words),
    phase=st.sampled_from(["Pending", "Running", "Failed", ""]),
    job=st.one_of(st.none(), st.just("ns/j")),
    owner=st.none(),
    priority_class=words,
    priority=st.one_of(st.none(), st.integers(-5, 5)),
    gang=st.just(""),
    daemonset=st.booleans(),
    created_at_ms=st.one_of(st.none(), st.integers(0, 2**41)),
    deletion_timestamp=st.one_of(st.none(), st.just("2026-01-01T00:00:00Z"), st.just("nonsense")),
    restarts=st.dictionaries(words, st.integers(0, 9), max_size=2),
    waiting=st.dictionaries(words, words, max_size=2),
)


@given(st.lists(nodes, max_size=8), st.lists(pods, max_size=8))
def test_events_one_by_one_and_a_list_of_what_is_left_show_the_same(node_events, pod_events) -> None:
    by_events, by_list = Mirror(), Mirror()
    for node in node_events:
        by_events.put_node(node)
    for pod in pod_events:
        by_events.put_pod(pod)
    by_list.replace_nodes({node.name: node for node in node_events}.values())
    by_list.replace_pods({pod.name: pod for pod in pod_events}.values())
    assert by_events.series() == by_list.series()


@given(st.lists(nodes, max_size=5), st.lists(nodes, max_size=5))
def test_a_second_list_leaves_nothing_of_the_first(first, second) -> None:
    mirror, fresh = Mirror(), Mirror()
    mirror.replace_nodes(first)
    mirror.replace_nodes(second)
    fresh.replace_nodes(second)
    assert mirror.series() == fresh.series()


@given(nodes, pods)
def test_the_same_object_twice_is_no_change(node, pod) -> None:
    mirror = Mirror()
    assert mirror.put_node(node) == []
    assert mirror.put_node(node) == []
    assert mirror.put_pod(pod) == []
    assert mirror.put_pod(pod) == []


def test_a_cluster_too_large_for_a_frame_keeps_its_nodes() -> None:
    mirror = Mirror()
    for number in range(5_000):
        mirror.put_pod(
            Pod(namespace="ns", name=f"p{number}", uid="u", node="n", phase="Running", job=None, owner=None, priority_class="",
                priority=None, gang="", daemonset=False, created_at_ms=1, deletion_timestamp=None, restarts={"a": 1, "b": 1}, waiting={})
        )  # fmt: skip
    mirror.put_node(Node(name="n", version="1", unschedulable=False, taints=(), conditions=()))
    series = mirror.series()
    assert len(series) <= SERIES_LIMIT
    assert ("kube_node_spec_unschedulable", (("node", "n"),)) in series


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                ["metadata", "spec", "status", "name", "labels", "conditions", "taints", "containerStatuses", "type", "object", "code",
                 "items", "resourceVersion", "ownerReferences", "template", "resources", "limits", "containers", "parallelism", "phase"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_any_json_is_an_object_or_malformed(value: object) -> None:
    body = msgspec.json.encode(value)
    for kind, fact in (
        (NodeObject, node_of),
        (PodObject, pod_of),
        (JobObject, job_of),
        (Page, None),
        (WatchEvent, None),
        (Status, None),
        (Versioned, None),
    ):
        try:
            item = decoded(body, kind, "api")
        except Malformed:
            continue
        if fact is not None:
            fact(item)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    for kind in (NodeObject, PodObject, JobObject, Page, WatchEvent):
        try:
            decoded(body, kind, "api")
        except Malformed:
            continue


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    found = time_ms(text)
    assert found is None or math.isfinite(found)


@given(st.text(max_size=300))
def test_a_name_that_is_let_through_cannot_leave_its_place_in_a_path(text: str) -> None:
    try:
        name = name_in({"name": text}, "name")
    except ValueError:
        return
    assert not set(name) & set("/?#%&= \r\n\\")
    assert ".." not in name
