"""SNMP agents of rack PDUs: v2c and v3 authPriv over UDP, with a BER codec and a user security model of their own.

They must never share a codec with the product, keep a value that the plant has moved on from, or answer whom they do not know.
"""
