"""A whole data hall that is not there: a plant model, and servers in front of it that speak the real protocols.

- `layout`: which racks, nodes, PDUs and jobs the site has; `plant`: what they do as time passes, pure and in virtual time
- `snmp/`, `ipmi/`, `exporters/`, `modbus/`, `nodeagent/`, `kube/`: one server family each, with codecs of their own
- `faults`: what is broken on purpose; `truth`: every state-changing request that any server saw; `control`: the API to both
- `site`: binds everything on loopback and writes the `site.yaml` that `fleet.load_site` reads

It must never import a decoder, profile or client of the product (one bug would cancel itself out), listen on anything
but loopback, or decide for itself that a request which it saw is not worth writing down.
"""
