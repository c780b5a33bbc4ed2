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
//	│ eth0           │   │ cis-n4kq7zt2m      uplink    │   │ cis-ub5xw3heo   eth0 │
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
// every NIC reaches the gateway's DNS and ping. Each VPC has one more address (Services),
// for programs of the host's operator in its namespace, such as those of a cluster: only
// the egress rules of a NIC's groups decide whether it gets there. Guarded, and opened by no rule but one
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
// # What leads in
//
// A published port (Port) belongs to the host, which translates it to the VPC's end of
// the uplink and a link port; the VPC translates the link port to the NIC. A public
// address belongs to a NIC: the host routes it into the VPC, and answers for it in the
// network that it is in; the VPC translates it, in both directions:
//
//	client ──▶ 192.0.2.1:8080 ──▶ 169.254.64.1:8080 ──▶ 10.64.0.2:80    published port
//	client ──▶ 192.0.2.100:80 ───────────────────────▶ 10.64.0.2:80    public address
//	                     host           uplink       VPC          NIC
//
// A client on the host, in another VPC, in the same VPC, and the instance itself take the
// same way to a published port as one from outside, and the instance sees the client's
// address. But two kinds come as the host's end of the uplink: instances, and those that the
// VPC could not answer (on the host's loopback, or with an address of the VPC's own
// CIDR). A published port admits what comes by it, unless it is guarded; then, as at a public address, the security
// groups decide. Ports and addresses are elements of maps; a change puts the VPC's half in
// first and takes it out last, and cuts the connections of what it takes away.
//
// Ports, public addresses and networks can lead to a VPC's router instead (Ways), whose
// programs lead on. That is no permission: the groups of whoever receives it decide.
//
// Bandwidth is held by token buckets on the NIC's link (see Bandwidth).
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
// Such a firewall must accept the links named PREFIX-u*.
//
// A TCP connection to a published port at ::1 goes through the server and ends with it;
// UDP there is not served. Over IPv6, ports and public addresses lead only to instances
// that have an IPv6 address, and for other machines only where the host has a default
// route; a link on which the host answers for an IPv6 address gets proxy_ndp. The
// first neighbour that asks for a public address waits for the kernel's answer, up to
// 0.8 s. If a program of the host takes a port while the server is down, the port stays
// the program's until that ends and Reconcile is called.
//
// A process that keeps a NIC's
// namespace open keeps its link alive after Detach, but not its route nor its right
// to send. A process that keeps a tap open keeps no tap alive, but the namespace of a
// VPC that was removed, with nothing of ours in it that leads anywhere.
package network
