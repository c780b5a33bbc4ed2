// Package network gives each instance a private, routed network interface.
//
// A VPC is a network namespace that routes. Each NIC is a point-to-point link into
// it, whose outer end lies in the VPC's namespace with a host route to the NIC's
// address. For a gVisor sandbox the link is a veth pair, whose inner end is in a
// namespace of its own, which the sandbox takes over. For a microVM it is a tap, whose
// other end is the file that the monitor opens: the guest gives its interface the
// addresses that the Link names. In the VPC's namespace both are alike. Neighbours
// share no layer 2, so there is nothing to spoof and VPCs may have equal CIDRs. One
// uplink joins a VPC to the host:
//
//	 NIC's namespace        VPC's namespace                    host
//	┌────────────────┐   ┌──────────────────────────────┐   ┌──────────────────────┐
//	│ eth0           │   │ cis-nXXXXXXXX      uplink    │   │ cis-uXXXXXXXX   eth0 │
//	│ 10.64.0.2/32 ──┼───┼── route 10.64.0.2   .1/31 ───┼───┼── .0/31        ──────┼──▶ outside
//	│ via 169.254.1.1│   │ lo: 169.254.1.1 (DNS)  (NAT) │   │           (NAT)      │
//	└────────────────┘   └──────────────────────────────┘   └──────────────────────┘
//
// What passes: instance to instance in one VPC, instance to the outside (through
// two masquerades), the host to the instances of a HostReachable VPC, and
// instances to their VPC's DNS server. What does not: instance to any address of
// the host, to another VPC, to link-local addresses other than the gateway, and
// any packet whose source is not its NIC's address.
//
// The kernel is the only record that the package keeps: names carry the prefix and
// a digest of the id, and the alias of a link its whole id and address. A restarted
// server finds everything there and adopts it without touching a flow. Which VPCs
// and NICs should exist, and who has which address, is the caller's to know.
//
// The package never runs a program, never touches an nftables table that is not
// its own, never polls, and never allocates an instance's address.
//
// Limits: IPv4 only. Routing needs net.ipv4.ip_forward on the host, which is the one
// host-wide setting that is changed. A chain of another table that drops forwarded
// packets (a FORWARD policy of drop, as some firewalls and container engines set it)
// still drops ours: in netfilter an accept ends one table's say, not the others'.
// Such a firewall must accept the links named PREFIX-u*. A process that keeps a NIC's
// namespace open keeps its link alive after Detach, but not its route nor its right
// to send. A process that keeps a tap open keeps no tap alive, but the namespace of a
// VPC that was removed, with nothing of ours in it that leads anywhere.
package network
