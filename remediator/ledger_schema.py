"""The ledger's tables. A change that older releases cannot read raises VERSION."""

VERSION = 1

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS remediations(
        id TEXT PRIMARY KEY, incident TEXT NOT NULL, target TEXT NOT NULL, phase TEXT NOT NULL, sequence INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, state BLOB NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS intents(
        id TEXT PRIMARY KEY, remediation TEXT NOT NULL, step TEXT NOT NULL, verb TEXT NOT NULL, device TEXT NOT NULL,
        target TEXT NOT NULL, lock TEXT NOT NULL, class INTEGER NOT NULL, epoch INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL, effect_until_ms INTEGER NOT NULL, body BLOB NOT NULL,
        sent_at_ms INTEGER, wire_state TEXT, outcome TEXT, text TEXT, closed_at_ms INTEGER)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_open_intent_an_object ON intents(lock) WHERE outcome IS NULL",
    "CREATE INDEX IF NOT EXISTS intents_by_time ON intents(created_at_ms)",
    """CREATE TABLE IF NOT EXISTS leases(
        target TEXT PRIMARY KEY, remediation TEXT NOT NULL, epoch INTEGER NOT NULL, since_ms INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS reservations(
        domain TEXT NOT NULL, remediation TEXT NOT NULL, allowed INTEGER NOT NULL, PRIMARY KEY(domain, remediation))""",
    """CREATE TRIGGER IF NOT EXISTS budget BEFORE INSERT ON reservations
        WHEN NOT EXISTS (SELECT 1 FROM reservations WHERE domain=NEW.domain AND remediation=NEW.remediation)
         AND (SELECT count(*) FROM reservations WHERE domain=NEW.domain) >= NEW.allowed
        BEGIN SELECT RAISE(ABORT, 'budget'); END""",
    "CREATE TABLE IF NOT EXISTS memory(name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS outbox(
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL)""",
)
