"""`hallkeeper bench`: speed in CPU-seconds of every process of ours that takes part; load comes from another process."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

JSON = typer.Option("--json", help="Print one JSON object as the last line.")
SECONDS = typer.Option("--seconds", min=2.0, max=600.0, help="How long to measure.")
SEED = typer.Option("--seed", help="Seed of the load.")
BUS = typer.Option("--bus", help="`embedded`, or kafka://host:port of a running Apache Kafka.")


def peer(*names: str) -> Any:
    """The option that names a peer to run on the same load in the same run."""
    return typer.Option(
        "--against", help=f"Run Debian's {' or '.join(names)} on the same load in the same run, and print the ratio."
    )


@app.command()
def scrape(
    *,
    seconds: Annotated[float, SECONDS] = 20.0,
    targets: Annotated[
        int, typer.Option(help="Exporter pages, each of 8 GPUs (320 series), every second.", min=1, max=4096)
    ] = 256,
    bus: Annotated[str, BUS] = "embedded",
    against: Annotated[str | None, peer("vmagent")] = None,
    seed: Annotated[int, SEED] = 1,
    pure: Annotated[
        bool, typer.Option("--pure", help="Read pages in Python although the compiled reader is there.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Exporter pages to durable frames on the bus: points per CPU-second."""
    from hallkeeper.bench import scrape as bench

    expect(against, "vmagent")
    show(bench.run(seconds=seconds, targets=targets, bus=bus, against=against, seed=seed, pure=pure), as_json=as_json)


@app.command()
def snmp(
    *,
    seconds: Annotated[float, SECONDS] = 20.0,
    bus: Annotated[str, BUS] = "embedded",
    against: Annotated[str | None, peer("snmp_exporter")] = None,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """64 and 512 SNMP agents of 288 OIDs every second: varbinds per CPU-second."""
    from hallkeeper.bench import snmp as bench

    expect(against, "snmp_exporter")
    show(bench.run(seconds=seconds, bus=bus, against=against, seed=seed), as_json=as_json)


@app.command()
def rules(
    *,
    seconds: Annotated[float, SECONDS] = 20.0,
    against: Annotated[str | None, peer("prometheus")] = None,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """200 rules over 40,960 series that all change: series evaluations per CPU-second, compared with Prometheus's results."""
    from hallkeeper.bench.rules import run

    expect(against, "prometheus")
    show(run(seconds=seconds, against=against, seed=seed), as_json=as_json)


@app.command("rules-latency")
def rules_latency(
    *,
    seconds: Annotated[float, SECONDS] = 60.0,
    nodes: Annotated[int, typer.Option(help="Nodes of 320 series, each sent every five seconds.", min=1)] = 1_638,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Frame on the bus to alert event: the real rule service with 200 rules over 524,160 series, load from outside."""
    from hallkeeper.bench.latency_rules import run

    show(run(seconds=seconds, nodes=nodes, seed=seed), as_json=as_json)


@app.command()
def rebuild(
    *,
    nodes: Annotated[int, typer.Option(help="Nodes of 320 series each.", min=1, max=10_000)] = 1_638,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A restart at 524,160 series: the window from its picture and what came since; and what taking the picture holds."""
    from hallkeeper.bench.rebuild import run

    show(run(nodes=nodes, seed=seed), as_json=as_json)


@app.command()
def replay(
    *,
    nodes: Annotated[int, typer.Option(help="Nodes of the simulated site.", min=8, max=4096)] = 640,
    minutes: Annotated[float, typer.Option(help="Minutes to record.", min=0.5, max=600.0)] = 60.0,
    recording: Annotated[Path | None, typer.Option(help="Take this recording, or keep the new one here.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Rule files; the shipped catalogue.")] = None,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A recorded site through rules and playbooks: times real time, points per CPU-second."""
    from hallkeeper.bench.replay import run

    show(run(nodes=nodes, minutes=minutes, seed=seed, recording=recording, rules=rules), as_json=as_json)


@app.command()
def alerts(
    *,
    seconds: Annotated[float, SECONDS] = 60.0,
    nodes: Annotated[int, typer.Option(help="Exporter pages, each read once a second.", min=1, max=999)] = 64,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A fault on an exporter's page to a received webhook, through every service: milliseconds, leg by leg."""
    from hallkeeper.bench.alerts import run

    show(run(seconds=seconds, nodes=nodes, seed=seed), as_json=as_json)


@app.command()
def storm(
    *,
    number: Annotated[
        int, typer.Option("--alerts", help="Alerts within ten seconds.", min=1_000, max=200_000)
    ] = 50_000,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A storm of alerts with critical ones in the middle of it: how late those are, in milliseconds."""
    from hallkeeper.bench.storm import run

    show(run(alerts=number), as_json=as_json)


@app.command()
def memory(
    *,
    nodes: Annotated[
        int, typer.Option(help="Nodes of the simulated site, 388 series each with its racks.", min=8)
    ] = 1_350,
    minutes: Annotated[int, typer.Option(help="Of the site's own time.", min=1, max=240)] = 60,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Memory of the engine with the whole catalogue over a site of 524,000 series, through an hour of its own time."""
    from hallkeeper.bench.memory import run

    show(run(nodes=nodes, minutes=minutes, seed=seed), as_json=as_json)


@app.command()
def decisions(
    *,
    number: Annotated[int, typer.Option("--alerts", help="Transitions of alerts.", min=100, max=1_000_000)] = 20_000,
    nodes: Annotated[int, typer.Option(help="Nodes of the site.", min=8, max=4096)] = 640,
    seed: Annotated[int, SEED] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Alerts through fold, choice of playbook, facts and every gate on one core: alerts a CPU-second, and a decision's p99."""
    from hallkeeper.bench.decisions import run

    show(run(alerts=number, nodes=nodes, seed=seed), as_json=as_json)


def expect(against: str | None, *names: str) -> None:
    """Refuse a peer that this bench does not know."""
    if against is not None and against not in names:
        raise typer.BadParameter(f"no peer {against!r} here; try: --against {' or '.join(names)}")


def show(result: dict[str, object], *, as_json: bool) -> None:
    """The result: aligned lines for people, one JSON object as the last line for programs."""
    width = max(len(key) for key in result)
    if as_json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:<{width}}  {value}")
