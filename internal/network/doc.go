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
//	│                │   │                              │   │                      │
//	│ fdV::2/128   ──┼───┼── route fdV::2      fe80::2 ─┼───┼── fe80::1      ──────┼──▶ outside
//	│ via fe80::1    │   │   fe80::1                    │   │   route fdV::/48     │
//	│                │   │ lo: fdV:ffff::2              │   │   fdV:ffff::1 (NAT)  │
//	└────────────────┘   └──────────────────────────────┘   └──────────────────────┘
//
// IPv6 has a /48 of unique local addresses for each VPC (fdV above), so only the host
// translates. A VPC has a way out by IPv6 if the host has one. Nothing configures
// itself: addresses, routes and neighbours are set here and by the guest.
//
// # What passes
//
// A packet that comes from a NIC must have one of the NIC's own addresses for its
// source. What belongs to a connection that was let through before passes; the rest
// begins a connection, and is looked up:
//
//	from a NIC ──▶ egress rules of its groups ──┬──▶ ingress rules of the receiver's groups ──▶ NIC
//	                                            └──▶ the VPC's Egress ──▶ the host's guard ──▶ outside
//
// The host itself reaches the NICs of a HostReachable VPC whatever their groups, and
// every NIC reaches the gateway's DNS and ping. Guarded, and opened by no rule but one
// of the VPC's Egress that is for the single address, are the host's own addresses,
// link-local ones and those of metadata services. Nothing opens the way to another VPC
// or its end of an uplink.
//
// Rules are elements of sets; chains are constant in number and length. An address of a
// NIC maps to a profile, which stands for a set of groups. Rules are ranges of profile,
// protocol, peer and service that do not overlap, where the peer is an address or the
// profile of one. So a NIC that comes or goes is a few elements, and a change of rules
// one transaction. Connections that may not go on after it are cut: the kernel is made
// to forget them, and does not take up the middle of a TCP connection.
//
// The kernel is the only record that the package keeps: names carry the prefix and
// a digest of the id, and the alias of a link its whole id and addresses. A restarted
// server finds everything there and adopts it without touching a flow. Which VPCs,
// groups and NICs should exist, and who has which address, is the caller's to know.
//
// The package never runs a program, never touches an nftables table that is not
// its own, never polls, and never allocates an instance's address.
//
// # Limits
//
// Routing needs net.ipv4.ip_forward on the host and, if the host has an IPv6 default
// route and a VPC has IPv6, net.ipv6.conf.all.forwarding, with accept_ra at 2 on the
// links of that route where it was 1. Nothing else is changed for the whole host.
// A chain of another table that drops forwarded
// packets (a FORWARD policy of drop, as some firewalls and container engines set it)
// still drops ours: in netfilter an accept ends one table's say, not the others'.
// Such a firewall must accept the links named PREFIX-u*. A process that keeps a NIC's
// namespace open keeps its link alive after Detach, but not its route nor its right
// to send. A process that keeps a tap open keeps no tap alive, but the namespace of a
// VPC that was removed, with nothing of ours in it that leads anywhere.
package network
