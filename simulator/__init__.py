"""A whole data hall that is not there: a plant model, and servers in front of it that speak the real protocols.

- `layout`: which racks, nodes, PDUs and jobs the site has; `plant`: what they do as time passes, pure and in virtual time
- `machines`, `power`, `breakers`, `sources`, `generators`, `battery`, `cooling`, `fabric`, `jobs`: the plant's parts, each with
  the numbers that it rests on; `sensors`, `instruments`: what is shown of them, right or wrong
- `snmp/`, `ipmi/`, `exporters/`, `modbus/`, `nodeagent/`, `kube/`: one server family each, with codecs of their own
- `faults/`: what is broken on purpose; `scenarios/`: what goes wrong when, and what must and must not follow
- `truth`: every state-changing request that any server saw; `control`: the API to it, to the faults and to a scenario
- `simulation`: binds everything on loopback and writes (`sitefile`) the `site.yaml` that `fleet.load_site` reads

It must never import a decoder, profile or client of the product (one bug would cancel itself out), listen on anything
but loopback, or decide for itself that a request which it saw is not worth writing down.
"""
