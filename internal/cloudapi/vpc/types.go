package vpc

import "cis/internal/cloudapi/cloud"

// CreateVpcRequest asks for a VPC.
type CreateVpcRequest struct {
	VpcName         string   `cloud:"required" doc:"a DNS label of at most 63; unique in the account, and part of DNS names"`
	CidrBlock       string   `cloud:"required" doc:"a private IPv4 range, /8 to /28"`
	EnableMulticast string   `refuse:"there is no multicast here" but:"false"`
	DnsServers      []string `refuse:"instances ask the VPC's own name server; DnsConfig of an instance adds others"`
	DomainName      string   `refuse:"the domain is NAME.internal"`
	Tags            []Tag    `doc:"become labels"`
}

// CreateVpcResponse shows it.
type CreateVpcResponse struct{ Vpc *Vpc }

// DeleteVpcRequest asks for a VPC to go.
type DeleteVpcRequest struct {
	VpcId string `cloud:"required" doc:"vpc-…, without subnets"`
}

// DescribeVpcsRequest asks for a part of the list.
type DescribeVpcsRequest struct {
	VpcIds  []string      `doc:"only these, at most 100; excludes Filters"`
	Filters []Filter      `doc:"vpc-name as a part of the name; vpc-id, cidr-block, is-default, tag-key, tag:KEY exactly"`
	Offset  *cloud.Number `doc:"0 by default; a number or a string"`
	Limit   *cloud.Number `doc:"1 to 100, 20 by default; a number or a string"`
}

// DescribeVpcsResponse is a part of the list.
type DescribeVpcsResponse struct {
	TotalCount int
	VpcSet     []Vpc `doc:"by name"`
}

// ModifyVpcAttributeRequest changes a VPC.
type ModifyVpcAttributeRequest struct {
	VpcId            string   `cloud:"required" doc:"vpc-…"`
	VpcName          string   `doc:"must be the name it has: a VPC's name is part of DNS names and never changes"`
	EnableMulticast  string   `refuse:"there is no multicast here" but:"false"`
	DnsServers       []string `refuse:"instances ask the VPC's own name server; DnsConfig of an instance adds others"`
	DomainName       string   `refuse:"the domain is NAME.internal"`
	EnableCdcPublish bool     `refuse:"there are no dedicated clusters here"`
}

// Vpc is a private network.
type Vpc struct {
	VpcName          string
	VpcId            string
	CidrBlock        string
	IsDefault        bool
	EnableMulticast  bool
	CreatedTime      string `doc:"UTC+8"`
	DnsServerSet     []string
	DomainName       string `doc:"NAME.internal"`
	DhcpOptionsId    string
	EnableDhcp       bool
	Ipv6CidrBlock    string
	TagSet           []Tag
	AssistantCidrSet []AssistantCidr
}

// AssistantCidr is a further range of a VPC; there are none.
type AssistantCidr struct {
	VpcId         string
	CidrBlock     string
	AssistantType int64
	SubnetSet     []Subnet
}

// CreateSubnetRequest asks for a subnet.
type CreateSubnetRequest struct {
	VpcId      string `cloud:"required" doc:"vpc-…"`
	SubnetName string `cloud:"required" doc:"a DNS label of at most 63; unique in the account"`
	CidrBlock  string `cloud:"required" doc:"a part of the VPC's range, /29 or larger"`
	Zone       string `cloud:"required" doc:"must be the configured zone"`
	Tags       []Tag  `doc:"become labels"`
	CdcId      string `refuse:"there are no dedicated clusters here"`
}

// CreateSubnetResponse shows it.
type CreateSubnetResponse struct{ Subnet *Subnet }

// DeleteSubnetRequest asks for a subnet to go.
type DeleteSubnetRequest struct {
	SubnetId string `cloud:"required" doc:"subnet-…, without instances"`
}

// DescribeSubnetsRequest asks for a part of the list.
type DescribeSubnetsRequest struct {
	SubnetIds []string      `doc:"only these, at most 100; excludes Filters"`
	Filters   []Filter      `doc:"subnet-name as a part of the name; subnet-id, vpc-id, cidr-block, is-default, zone, tag-key, tag:KEY exactly"`
	Offset    *cloud.Number `doc:"0 by default; a number or a string"`
	Limit     *cloud.Number `doc:"1 to 100, 20 by default; a number or a string"`
}

// DescribeSubnetsResponse is a part of the list.
type DescribeSubnetsResponse struct {
	TotalCount int
	SubnetSet  []Subnet `doc:"by name"`
}

// ModifySubnetAttributeRequest changes a subnet.
type ModifySubnetAttributeRequest struct {
	SubnetId        string `cloud:"required" doc:"subnet-…"`
	SubnetName      string `doc:"must be the name it has: a subnet's name never changes"`
	EnableBroadcast string `refuse:"there is no broadcast here" but:"false"`
}

// Subnet is a part of a VPC.
type Subnet struct {
	VpcId                   string
	SubnetId                string
	SubnetName              string
	CidrBlock               string
	IsDefault               bool
	EnableBroadcast         bool
	Zone                    string
	RouteTableId            string
	CreatedTime             string `doc:"UTC+8"`
	AvailableIpAddressCount int64
	Ipv6CidrBlock           string
	NetworkAclId            string
	IsRemoteVpcSnat         bool
	TotalIpAddressCount     int64 `doc:"without the three that are never given out"`
	TagSet                  []Tag
	CdcId                   string
	IsCdcSubnet             int64
}

// CreateSecurityGroupRequest asks for a security group.
type CreateSecurityGroupRequest struct {
	GroupName        string       `cloud:"required" doc:"a DNS label of at most 63; unique in the account"`
	GroupDescription string       `cloud:"required" doc:"at most 128 bytes; may be empty"`
	ProjectId        cloud.Number `refuse:"there are no projects here" doc:"0"`
	Tags             []Tag        `doc:"become labels"`
}

// CreateSecurityGroupResponse shows it.
type CreateSecurityGroupResponse struct {
	SecurityGroup *SecurityGroup `doc:"without policies, so that nothing passes until some are made"`
}

// DeleteSecurityGroupRequest asks for a security group to go.
type DeleteSecurityGroupRequest struct {
	SecurityGroupId string `cloud:"required" doc:"sg-…, that no instance and no policy of another group names"`
}

// DescribeSecurityGroupsRequest asks for a part of the list.
type DescribeSecurityGroupsRequest struct {
	SecurityGroupIds []string      `doc:"only these, at most 100; excludes Filters"`
	Filters          []Filter      `doc:"security-group-id, security-group-name, project-id, tag-key, tag:KEY, all exactly"`
	Offset           *cloud.Number `doc:"0 by default; a number or a string"`
	Limit            *cloud.Number `doc:"1 to 100, 20 by default; a number or a string"`
	OrderField       string        `doc:"CreatedTime; by name if left out" refuse:"the list is sorted by name, or by CreatedTime" but:"CreatedTime"`
	OrderDirection   string        `doc:"ASC (default) or DESC"`
}

// DescribeSecurityGroupsResponse is a part of the list.
type DescribeSecurityGroupsResponse struct {
	SecurityGroupSet []SecurityGroup
	TotalCount       int
}

// ModifySecurityGroupAttributeRequest changes a security group.
type ModifySecurityGroupAttributeRequest struct {
	SecurityGroupId  string  `cloud:"required" doc:"sg-…"`
	GroupName        string  `doc:"must be the name it has: a security group's name never changes"`
	GroupDescription *string `doc:"at most 128 bytes"`
}

// SecurityGroup is a firewall of instances.
type SecurityGroup struct {
	SecurityGroupId   string
	SecurityGroupName string
	SecurityGroupDesc string
	ProjectId         string `doc:"0"`
	IsDefault         bool
	CreatedTime       string `doc:"UTC+8"`
	TagSet            []Tag
	UpdateTime        *string `doc:"null: it is not kept"`
}

// CreateSecurityGroupPoliciesRequest adds policies.
type CreateSecurityGroupPoliciesRequest struct {
	SecurityGroupId        string                  `cloud:"required" doc:"sg-…"`
	SecurityGroupPolicySet *SecurityGroupPolicySet `cloud:"required" doc:"of either direction or both"`
}

// DeleteSecurityGroupPoliciesRequest removes policies.
type DeleteSecurityGroupPoliciesRequest struct {
	SecurityGroupId        string                  `cloud:"required" doc:"sg-…"`
	SecurityGroupPolicySet *SecurityGroupPolicySet `cloud:"required" doc:"each by its PolicyIndex alone, or by all that it says"`
}

// DescribeSecurityGroupPoliciesRequest asks for policies.
type DescribeSecurityGroupPoliciesRequest struct {
	SecurityGroupId string   `cloud:"required" doc:"sg-…"`
	Filters         []Filter `doc:"security-group-id, protocol-type, poly exactly; ip, port, description as a part; direction INBOUND, OUTBOUND or ALL"`
}

// DescribeSecurityGroupPoliciesResponse shows them.
type DescribeSecurityGroupPoliciesResponse struct {
	SecurityGroupPolicySet *SecurityGroupPolicySet
}

// ModifySecurityGroupPoliciesRequest puts policies in the place of all that there are.
type ModifySecurityGroupPoliciesRequest struct {
	SecurityGroupId        string                  `cloud:"required" doc:"sg-…"`
	SecurityGroupPolicySet *SecurityGroupPolicySet `cloud:"required" doc:"all policies of both directions; with Version 0 there will be none"`
	SortPolicys            bool                    `doc:"policies have no order here, so either is as good"`
}

// SecurityGroupPolicySet are policies of both directions.
type SecurityGroupPolicySet struct {
	Version          *cloud.Number         `json:",string" doc:"a number or a string; in a request, the version that the change is made for: any other is refused"`
	Egress           []SecurityGroupPolicy `doc:"what is let out"`
	Ingress          []SecurityGroupPolicy `doc:"what is let in"`
	PolicyStatistics *PolicyStatistics     `refuse:"is shown, not set"`
}

// PolicyStatistics counts policies.
type PolicyStatistics struct {
	IngressIPv4TotalCount int64
	IngressIPv6TotalCount int64
	EgressIPv4TotalCount  int64
	EgressIPv6TotalCount  int64
}

// SecurityGroupPolicy lets traffic pass.
type SecurityGroupPolicy struct {
	PolicyIndex       *int64                        `doc:"the position, from 0; at a create, where to put it: at the end by default"`
	Protocol          string                        `doc:"TCP, UDP, ICMP, ICMPv6 or ALL (default)"`
	Port              string                        `doc:"all (default), one such as 80, or a range such as 8000-8999; of several, make a policy each"`
	ServiceTemplate   *ServiceTemplateSpecification `refuse:"there are no templates here"`
	CidrBlock         string                        `doc:"an IPv4 range or address; exactly one of this, Ipv6CidrBlock and SecurityGroupId"`
	Ipv6CidrBlock     string                        `doc:"an IPv6 range or address"`
	SecurityGroupId   string                        `doc:"sg-…: its instances in the same VPC"`
	AddressTemplate   *AddressTemplateSpecification `refuse:"there are no templates here"`
	Action            string                        `doc:"ACCEPT" refuse:"policies only let traffic pass here, and what none lets pass is dropped: leave DROP out" but:"ACCEPT"`
	PolicyDescription string                        `doc:"at most 128 bytes"`
	ModifyTime        string                        `refuse:"is shown, not set" doc:"empty: it is not kept"`
}

// ServiceTemplateSpecification names templates of ports.
type ServiceTemplateSpecification struct {
	ServiceId      string
	ServiceGroupId string
}

// AddressTemplateSpecification names templates of addresses.
type AddressTemplateSpecification struct {
	AddressId      string
	AddressGroupId string
}

// AllocateAddressesRequest asks for public addresses.
type AllocateAddressesRequest struct {
	AddressCount            *int64                `doc:"1 (default) to 20; either all are made or none"`
	InternetServiceProvider string                `refuse:"the provider cannot be chosen here" but:"BGP"`
	InternetChargeType      string                `refuse:"addresses are paid for by the hour, and traffic by the byte" but:"TRAFFIC_POSTPAID_BY_HOUR"`
	InternetMaxBandwidthOut *int64                `refuse:"the traffic of an address cannot be limited by itself here"`
	AddressChargePrepaid    *AddressChargePrepaid `refuse:"nothing is paid in advance here"`
	AddressType             string                `refuse:"there is one type of addresses here" but:"EIP"`
	AnycastZone             string                `refuse:"there is no anycast here"`
	VipCluster              []string              `refuse:"the clusters of addresses cannot be chosen here"`
	ApplicableForCLB        bool                  `refuse:"there are no load balancers here"`
	Tags                    []Tag                 `doc:"become labels"`
	BandwidthPackageId      string                `refuse:"there are no bandwidth packages here"`
	AddressName             string                `doc:"a DNS label; unique in the account. Of several, NAME-0, NAME-1 and so on; by default the ID"`
	DedicatedClusterId      string                `refuse:"there are no dedicated clusters here"`
	IsDedicatedAddressPool  bool                  `refuse:"there are no dedicated pools here"`
	Egress                  string                `refuse:"the way out cannot be chosen here" but:"center_egress1"`
	AntiDDoSPackageId       string                `refuse:"there are no such packages here"`
	ClientToken             string                `doc:"at most 64: the same token gives the same addresses, as long as there are any of them"`
}

// AllocateAddressesResponse names them.
type AllocateAddressesResponse struct {
	AddressSet []string
	TaskId     *string `doc:"null: it is done when the answer comes"`
}

// AddressChargePrepaid is how addresses are paid in advance.
type AddressChargePrepaid struct {
	Period        int64
	AutoRenewFlag int64
}

// AssociateAddressRequest binds a public address to an instance.
type AssociateAddressRequest struct {
	AddressId           string `cloud:"required" doc:"eip-…, bound to nothing"`
	InstanceId          string `cloud:"required" doc:"eksci-… or cis-…"`
	NetworkInterfaceId  string `refuse:"an address is bound to an instance here: use InstanceId"`
	PrivateIpAddress    string `refuse:"an instance has one private address here"`
	EipDirectConnection bool   `refuse:"the address is translated, and never the instance's own"`
	InstanceRegion      string `refuse:"there is one region here"`
}

// AssociateAddressResponse says that it is done.
type AssociateAddressResponse struct {
	TaskId *string `doc:"null: it is done when the answer comes"`
}

// DisassociateAddressRequest takes a public address from its instance.
type DisassociateAddressRequest struct {
	AddressId                string `cloud:"required" doc:"eip-…"`
	ReallocateNormalPublicIp bool   `refuse:"there are no other public addresses here"`
}

// DisassociateAddressResponse says that it is done.
type DisassociateAddressResponse struct {
	TaskId *string `doc:"null: it is done when the answer comes"`
}

// ReleaseAddressesRequest gives public addresses back.
type ReleaseAddressesRequest struct {
	AddressIds []string `cloud:"required" doc:"1 to 20, eip-…, bound to nothing"`
}

// ReleaseAddressesResponse says that it is done.
type ReleaseAddressesResponse struct {
	TaskId *string `doc:"null: it is done when the answer comes"`
}

// DescribeAddressesRequest asks for a part of the list.
type DescribeAddressesRequest struct {
	AddressIds []string `doc:"only these, at most 100; excludes Filters"`
	Filters    []Filter `doc:"address-id, address-name, address-ip, address-status, instance-id, private-ip-address, tag-key, tag:KEY, all exactly"`
	Offset     *uint64  `doc:"0 by default"`
	Limit      *uint64  `doc:"1 to 100, 20 by default"`
}

// DescribeAddressesResponse is a part of the list.
type DescribeAddressesResponse struct {
	TotalCount int
	AddressSet []Address `doc:"by name"`
}

// ModifyAddressAttributeRequest changes a public address.
type ModifyAddressAttributeRequest struct {
	AddressId           string `cloud:"required" doc:"eip-…"`
	AddressName         string `doc:"must be the name it has: an address's name never changes"`
	EipDirectConnection string `refuse:"the address is translated, and never the instance's own" but:"false"`
}

// Address is a public address.
type Address struct {
	AddressId               string
	AddressName             string
	AddressStatus           string `doc:"BIND or UNBIND"`
	AddressIp               string
	InstanceId              string `doc:"eksci-…; empty if it is bound to nothing"`
	CreatedTime             string `doc:"RFC 3339, UTC"`
	NetworkInterfaceId      string
	PrivateAddressIp        string
	IsArrears               bool
	IsBlocked               bool
	IsEipDirectConnection   bool
	AddressType             string `doc:"EIP"`
	CascadeRelease          bool   `doc:"it goes with its instance"`
	EipAlgType              *AlgType
	InternetServiceProvider string `doc:"BGP"`
	LocalBgp                bool
	Bandwidth               *int64
	InternetChargeType      string
	TagSet                  []Tag
	DeadlineDate            *string
	InstanceType            *string
	Egress                  *string
	AntiDDoSPackageId       string
	RenewFlag               string
	BandwidthPackageId      *string
	UnVpcId                 *string
	DedicatedClusterId      *string
}

// AlgType are protocols that an address understands; there are none.
type AlgType struct {
	Ftp bool
	Sip bool
}

// Tag is a label.
type Tag struct {
	Key   string `cloud:"required" doc:"as a label's key in Kubernetes"`
	Value string `doc:"as a label's value in Kubernetes"`
}

// Filter chooses things.
type Filter struct {
	Name   string   `cloud:"required"`
	Values []string `cloud:"required" doc:"any of them, 1 to 100"`
}
