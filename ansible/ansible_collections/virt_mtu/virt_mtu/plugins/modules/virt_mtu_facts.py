#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Runs virt-mtu facts."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: virt_mtu_facts
short_description: What virt-mtu knows of a KVM host's network and guests
version_added: 1.0.0
description:
  - Runs C(virt-mtu facts) on the host and returns what it writes as facts. They are what
    C(virt-mtu check --facts) judges, on any machine.
  - No secrets are in them, of a domain's XML only what concerns its NICs.
  - It changes nothing.
author:
  - The virt-mtu contributors (@virt-mtu)
options:
  path:
    description:
      - The program, a path, or a name to be looked for in PATH, C(/usr/local/bin), C(/usr/bin).
    type: str
    default: virt-mtu
  agent:
    description:
      - Whether each running guest is asked by its guest agent which MTU it really has. That
        changes nothing in the guest.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds to wait for each answer of libvirt, and of each guest.
    type: int
    default: 10
requirements:
  - virt-mtu on the host
  - root, or the hook is not looked at
attributes:
  check_mode:
    description: It runs in check mode as it does without.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  facts:
    description: It returns C(ansible_facts).
    support: full
  platform:
    description: Linux hosts with libvirt.
    support: full
    platforms: linux
notes:
  - What could not be read is a warning, and in C(ansible_facts.virt_mtu.unread); the rest is returned all the same.
"""

EXAMPLES = r"""
- name: Look at the host's network and guests
  virt_mtu.virt_mtu.virt_mtu_facts:
  become: true

- name: Say which of its bridges are below 9000
  ansible.builtin.debug:
    msg: "{{ ansible_facts.virt_mtu.links | selectattr('kind', 'eq', 'bridge') | selectattr('mtu', 'lt', 9000) | map(attribute='name') }}"

- name: Look at what the guests say too
  virt_mtu.virt_mtu.virt_mtu_facts:
    path: /opt/virt-mtu/virt-mtu
    agent: true
    timeout: 3
  become: true
"""

RETURN = r"""
ansible_facts:
  description: Facts to add.
  returned: success
  type: dict
  contains:
    virt_mtu:
      description: What C(virt-mtu facts) has written.
      returned: success
      type: dict
      contains:
        version:
          description: Of the format.
          returned: always
          type: int
          sample: 1
        host:
          description: The host's own name.
          returned: always
          type: str
          sample: kvm1
        links:
          description: Its links, each with its MTU in bytes of IP packet, its kind and what it is a port of.
          returned: always
          type: list
          elements: dict
        networks:
          description: libvirt's networks.
          returned: always
          type: list
          elements: dict
        ovs:
          description: Open vSwitch's bridges; null where there is none.
          returned: always
          type: dict
        domains:
          description: Each domain's name, UUID, state and, of its XML, what concerns its NICs.
          returned: always
          type: list
          elements: dict
        hook:
          description: What is wrong with libvirt's hook.
          returned: always
          type: list
          elements: dict
        unread:
          description: What could not be read.
          returned: always
          type: list
          elements: str
"""

import json

from ansible.module_utils.basic import AnsibleModule

# virt-mtu's exit statuses: 1 is that something could not be read.
DONE = (0, 1)


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "str", "default": "virt-mtu"},
            "agent": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    if module.params["timeout"] <= 0:
        module.fail_json(msg="timeout: %d: it takes a number of seconds above 0" % module.params["timeout"])
    # It fails where there is none, and says where it has looked.
    program = module.get_bin_path(module.params["path"], required=True, opt_dirs=["/usr/local/bin", "/usr/bin"])
    command = [program, "facts", "--timeout", "%ds" % module.params["timeout"]]
    if module.params["agent"]:
        command.append("--agent")
    rc, stdout, stderr = module.run_command(command)
    said = [line for line in stderr.splitlines() if line.strip()]
    if rc not in DONE:
        module.fail_json(msg="%s: exit status %d: %s" % (" ".join(command), rc, "; ".join(said)), rc=rc, stderr=stderr)
    try:
        facts = json.loads(stdout)
        if not isinstance(facts, dict) or "version" not in facts:
            raise ValueError("it is no object with a version")
    except ValueError as e:
        module.fail_json(msg="%s: what it writes are no facts: %s" % (" ".join(command), e),
                         rc=rc, stdout=stdout[:1000], stderr=stderr)
    for line in said:
        module.warn(line)
    module.exit_json(changed=False, ansible_facts={"virt_mtu": facts})


if __name__ == "__main__":
    main()
