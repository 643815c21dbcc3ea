"""The main job, shown: a simulated site, three faults one after the other, each healed and proven before your eyes."""
