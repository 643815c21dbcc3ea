"""docs/reference/actions.md: every action, made from what is declared, so that the page cannot say anything else."""

from remediator.actions import ACTIONS, EVERY_ACT, Action

_HEAD = """# Actions

Made from `remediator/actions/` by `make docs`; do not edit.

Every command is one of these verbs. Each is absolute (what state the object shall be in), written down durably before it is
sent, sent at most once and only before its deadline, then read back; where the protocol allows it a fence makes late copies
harmless first. What was sent and not answered is looked at, never sent again. "Proof" is what another instrument than the
one commanded must show.

Classes: A0 tells, A1 is reversible, A2 disturbs a job, A3 switches a machine, A4 switches a rack and takes two persons.
Each act passes {every}; the column "gates" names those that ask something more of it.

There is no verb for breakers, valves, contactors, generator trips, fire systems or emergency stops. They are asked of people
(`isolation_request`, `page`, `ticket`), never commanded.

| verb | class | by | within | tries | gates | taken back by |
|---|---|---|--:|--:|---|---|
"""


def actions_page() -> str:
    """The whole page as Markdown."""
    rows = "\n".join(_row(action) for action in ACTIONS.values())
    parts = "\n".join(_part(action) for action in ACTIONS.values())
    return _HEAD.format(every=", ".join(name.replace("_", " ") for name in EVERY_ACT)) + f"{rows}\n\n{parts}"


def _row(action: Action) -> str:
    gates = ", ".join(name.replace("_", " ") for name in action.gates) or "–"
    back = f"`{action.reversal}`" if action.reversal else "–"
    traits = action.traits
    return (
        f"| [`{action.verb}`](#{action.verb}) | {traits.class_.name} | {traits.plane} | {action.timeout_seconds:g} s "
        f"| {action.attempts} | {gates} | {back} |"
    )


def _part(action: Action) -> str:
    lines = [
        f"## {action.verb}\n",
        f"{action.purpose}\n",
        f"- Arguments: {', '.join(f'`{name}`' for name in action.arguments) or 'none'}",
        f"- Proof: {action.proof}",
        f"- Fence: {action.fence}",
    ]
    if action.lasting:
        lines.append(f"- Not taken back: {action.lasting}")
    return "\n".join(lines) + "\n"
