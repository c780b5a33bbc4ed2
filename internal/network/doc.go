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
// What leads into a VPC from elsewhere is translated twice, and the client's address
// stays. A published port (Port) belongs to the host: the host translates it to the VPC's end of the
// uplink and a link port, the VPC translates the link port to the NIC. A public address
// belongs to a NIC: the host routes it into the VPC and answers for it on the network
// that it is in, the VPC translates it, in both directions:
//
//	client ──▶ 192.0.2.1:8080 ──▶ 169.254.64.1:8080 ──▶ 10.64.0.2:80    published port
//	client ──▶ 192.0.2.100:80 ───────────────────────▶ 10.64.0.2:80    public address
//	                     host           uplink       VPC          NIC
//
// A client on the host, in another VPC, in the same VPC, or the instance itself, takes the
// same way as one from outside. Two kinds of clients come as the host's end of the uplink: those
// that the VPC could not answer (on the host's loopback, or with an address of the
// VPC's own CIDR), and instances at a published port. A published port admits what
// comes by it; at a public address the security groups decide. Ports and addresses
// that come and go are elements of maps; rules stay the same. A change puts the VPC's
// half in first and takes it out last.
//
// Bandwidth is held by token buckets on the NIC's link (see Bandwidth).
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
// Such a firewall must accept the links named PREFIX-u*. A TCP connection to a published
// port at ::1 goes through the server and ends with it; UDP there is not served. Over
// IPv6, published ports and public addresses are there for instances that have an IPv6
// address, and for other machines only where the host has a default route. The first
// machine that asks for a public address waits for the kernel's answer, up to 0.8 s.
// Of two servers of a port that start while ours is down, the host's program wins. A process that keeps a NIC's
// namespace open keeps its link alive after Detach, but not its route nor its right
// to send. A process that keeps a tap open keeps no tap alive, but the namespace of a
// VPC that was removed, with nothing of ours in it that leads anywhere.
package network
