"""Who may speak SNMP with the PDUs of a rack."""

from simulator.layout import Layout
from simulator.secretfiles import SiteSecrets
from simulator.sitefile import pdu_group
from simulator.snmp.agent import Access
from simulator.snmp.usm import make_user


def access_of(layout: Layout, secrets: SiteSecrets, rack: int, engine_id: bytes) -> Access:
    """Communities or users of a rack's PDUs, by the group that the site file puts them in."""
    group, read, write = pdu_group(layout, rack), secrets.snmp_read, secrets.snmp_write
    if group == "pdu-v2c":
        return Access(read_community=read.word.encode(), write_community=write.word.encode(), users={})
    algorithm = "sha1" if group == "pdu-sha1" else "sha256"
    users = [
        make_user(
            login.name,
            algorithm=algorithm,
            auth_password=login.word,
            privacy_password=login.second_word,
            engine_id=engine_id,
            may_write=may,
        )
        for login, may in ((read, False), (write, True))
    ]
    return Access(read_community=None, write_community=None, users={user.name: user for user in users})
