"""What the site is: inventory, plant graph, units, known metrics, settings, and the loaders of the files that say so.

It is for facts and for the small seams that every room shares (`clock`, `errors`, `quality`, `secrets`). Names:

- `fleet.model`: `Site`, `Asset`, `Endpoint`, `Kind`, `Wire`, `PlantGraph`; `fleet.loader.load_site` reads `site.yaml`
- `fleet.settings`: `Settings`, `load_settings` for `hallkeeper.yaml`
- `fleet.metrics`: the register of known metrics; `fleet.quality`: the quality byte of a sample
- `fleet.clock`: `Clock`, `SystemClock`, `VirtualClock`; `fleet.errors`; `fleet.secrets`

It must never import another room, talk to a device or the bus, hold state that changes, log, or show a secret.
"""
