#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""bundle.py CONFIG: makes what `crun spec` wrote run /bin/true of this machine: no terminal, /usr from outside, and nothing
that needs a delegated cgroup tree."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
	config = json.load(f)
config["root"] = {"path": "rootfs", "readonly": True}
config["process"].update(terminal=False, args=["/bin/true"], cwd="/")
config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
config["mounts"].append({"destination": "/usr", "type": "none", "source": "/usr", "options": ["rbind", "ro"]})
config["linux"].pop("resources", None)
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
with open(sys.argv[1], "w", encoding="utf-8") as f:
	json.dump(config, f)
