"""Plans that relieve a whole site: which jobs give how many watts, when, and at which price.

Pure: a plan is made from what was measured and says what would be done; it never sends anything. The protective lane's own
ladder for one PDU's phases is in `remediator.shed`.
"""
