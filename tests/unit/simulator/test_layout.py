"""The site's shape at its default size and at others."""

import pytest

from simulator.layout import Layout


def test_the_default_site_has_64_nodes_in_16_racks_with_32_pdus_in_4_rows() -> None:
    layout = Layout()
    assert (len(layout.nodes), len(layout.racks), len(layout.pdus), len(layout.rows)) == (64, 16, 32, 4)
    assert (layout.nodes[0], layout.nodes[-1], layout.racks[-1], layout.pdus[-1]) == (
        "dgx-001",
        "dgx-064",
        "r16",
        "pdu-r16-b",
    )


def test_the_default_workload_takes_36_10_and_6_nodes_and_leaves_the_rest_idle() -> None:
    layout = Layout()
    by_job: dict[str, int] = {}
    for job, _ in layout.placement.values():
        by_job[job.name] = by_job.get(job.name, 0) + 1
    assert by_job == {"train-a": 36, "research-b": 10, "batch-c": 6}


def test_every_rank_of_a_job_stands_on_one_node_of_its_own() -> None:
    placed = list(Layout().placement.values())
    assert len({(job.name, rank) for job, rank in placed}) == len(placed)


def test_the_tight_rack_holds_research_batch_batch_and_an_idle_host() -> None:
    layout = Layout()
    assert layout.overload_rack == 15
    names = [layout.nodes[node] for node in layout.nodes_of_rack(15)]
    assert [layout.placement[name][0].name if name in layout.placement else "idle" for name in names] == [
        "research-b", "batch-c", "batch-c", "idle",
    ]  # fmt: skip


@pytest.mark.parametrize(("nodes", "racks"), [(1, 1), (40, 9), (4, 1), (5, 2), (8, 2), (12, 3), (512, 128), (640, 160)])
def test_any_size_places_every_node_in_a_rack_and_every_rack_in_a_row(nodes: int, racks: int) -> None:
    layout = Layout(nodes, racks)
    assert [node for rack in range(racks) for node in layout.nodes_of_rack(rack)] == list(range(nodes))
    assert all(len(layout.nodes_of_rack(rack)) >= 1 for rack in range(racks))
    assert set(layout.row_of.tolist()) == set(range(len(layout.rows)))
    assert set(layout.placement) <= set(layout.nodes)


def test_more_racks_than_nodes_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="at least one node"):
        Layout(2, 3)
