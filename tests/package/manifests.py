"""What Kubernetes would make of contrib/kubernetes: lays the volumes out below a folder, and prints the
pod's commands and variables for a shell. Called by kubernetes.sh: manifests.py FOLDER-OF-MANIFESTS ROOT"""

import pathlib
import shlex
import sys

import yaml

manifests, root = map(pathlib.Path, sys.argv[1:])
named = yaml.safe_load((manifests / "kustomization.yaml").read_text())["resources"]
there = {path.name for path in manifests.glob("*.yaml")} - {"kustomization.yaml"}
assert set(named) == there, f"kustomization.yaml names {named}, there are {there}"
objects = [yaml.safe_load((manifests / name).read_text()) for name in named]
of = {(one["kind"], one["metadata"]["name"]): one for one in objects}

workload = of["StatefulSet", "mta-stsd"]["spec"]
assert workload["replicas"] == 1, "the store belongs to one process"
pod = workload["template"]["spec"]
(container,) = pod["containers"]
mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
assert not any("subPath" in mount for mount in container["volumeMounts"]), "it would not be brought up to date"
for volume in pod["volumes"]:
    if "configMap" not in volume:
        continue
    folder = root / mounts.pop(volume["name"]).lstrip("/")
    folder.mkdir(parents=True)
    # As the kubelet does: a hidden folder, a link to it that is swapped, and links through that.
    (folder / "..first").mkdir()
    (folder / "..data").symlink_to("..first")
    for name, text in of["ConfigMap", volume["configMap"]["name"]]["data"].items():
        (folder / "..first" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")

ports = {port["name"]: port["containerPort"] for port in container["ports"]}
for port in of["Service", "mta-stsd"]["spec"]["ports"]:
    assert port["targetPort"] in ports, port
for name, words in {
    "serve": ["/usr/bin/mta-stsd", *container["args"]],
    "startup": container["startupProbe"]["exec"]["command"],
    "ready": container["readinessProbe"]["exec"]["command"],
    "live": container["livenessProbe"]["exec"]["command"],
    "environment": [f"{one['name']}={one['value']}" for one in container["env"]],
    "places": [mounts["store"], mounts["secrets"]],
    "ports": [ports["https"], ports["http"]],
    "user": [pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]],
}.items():
    print(f"{name}=({shlex.join(map(str, words))})")
