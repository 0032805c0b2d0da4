// Package ansible runs real playbooks against throw-away containers over ssh, as an admin's
// controller does: New makes containers reachable and installs the project's collection,
// Play runs ansible-playbook and says what came of it on each host. Tests of the collection
// are beside it.
package ansible
