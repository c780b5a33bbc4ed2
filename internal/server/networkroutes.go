package server

import (
	"net/http"

	"cis/api"
)

func networkRoutes() []Route {
	return append(append(vpcRoutes(), subnetRoutes()...), append(groupRoutes(), addressRoutes()...)...)
}

// made is the reply to a create.
func made(body any) []Reply {
	return []Reply{{Status: http.StatusCreated, Doc: "it is on record and in force", Type: typeJSON, Body: body}}
}

func vpcRoutes() []Route {
	const tag = "vpcs"
	return []Route{
		{Method: "GET", Path: "/v1/vpcs", Name: "listVPCs", Tag: tag,
			Summary: "List the VPCs", Replies: gives("all of them", api.List[api.VPC]{}), handle: (*Server).listVPCs},
		{Method: "POST", Path: "/v1/vpcs", Name: "createVPC", Tag: tag,
			Summary: "Make a VPC", Body: api.VPC{}, Replies: made(api.VPC{}), handle: (*Server).createVPC},
		{Method: "GET", Path: "/v1/vpcs/{ref}", Name: "getVPC", Tag: tag,
			Summary: "Get a VPC by name or ID", Replies: gives("the VPC", api.VPC{}), handle: (*Server).getVPC},
		{Method: "PATCH", Path: "/v1/vpcs/{ref}", Name: "updateVPC", Tag: tag,
			Summary: "Change a VPC, live", Body: api.VPCUpdate{}, Replies: gives("the VPC", api.VPC{}), handle: (*Server).updateVPC},
		{Method: "DELETE", Path: "/v1/vpcs/{ref}", Name: "removeVPC", Tag: tag,
			Summary: "Remove a VPC that has no subnets", Replies: givesNothing("it is gone"), handle: (*Server).removeVPC},
		{Method: "GET", Path: "/v1/vpcs/{ref}/flows", Name: "listFlows", Tag: tag,
			Summary: "Tell who talked to whom in a VPC, and what was dropped",
			Replies: gives("the latest", api.List[api.Flow]{}), handle: (*Server).listFlows},
		{Method: "POST", Path: "/v1/network/check", Name: "checkNetwork", Tag: tag,
			Summary: "Tell whether an instance may connect to another or to an address, by which rule, and try it",
			Body:    api.NetworkCheck{}, Replies: gives("the verdict", api.NetworkVerdict{}), handle: (*Server).checkNetwork},
	}
}

func subnetRoutes() []Route {
	const tag = "subnets"
	return []Route{
		{Method: "GET", Path: "/v1/subnets", Name: "listSubnets", Tag: tag,
			Summary: "List the subnets", Replies: gives("all of them", api.List[api.Subnet]{}), handle: (*Server).listSubnets},
		{Method: "POST", Path: "/v1/subnets", Name: "createSubnet", Tag: tag,
			Summary: "Make a subnet of a VPC", Body: api.Subnet{}, Replies: made(api.Subnet{}), handle: (*Server).createSubnet},
		{Method: "GET", Path: "/v1/subnets/{ref}", Name: "getSubnet", Tag: tag,
			Summary: "Get a subnet by name or ID", Replies: gives("the subnet", api.Subnet{}), handle: (*Server).getSubnet},
		{Method: "DELETE", Path: "/v1/subnets/{ref}", Name: "removeSubnet", Tag: tag,
			Summary: "Remove a subnet that no instance uses", Replies: givesNothing("it is gone"), handle: (*Server).removeSubnet},
	}
}

func groupRoutes() []Route {
	const tag = "security groups"
	return []Route{
		{Method: "GET", Path: "/v1/securitygroups", Name: "listSecurityGroups", Tag: tag,
			Summary: "List the security groups", Replies: gives("all of them", api.List[api.SecurityGroup]{}), handle: (*Server).listGroups},
		{Method: "POST", Path: "/v1/securitygroups", Name: "createSecurityGroup", Tag: tag,
			Summary: "Make a security group", Body: api.SecurityGroup{}, Replies: made(api.SecurityGroup{}), handle: (*Server).createGroup},
		{Method: "GET", Path: "/v1/securitygroups/{ref}", Name: "getSecurityGroup", Tag: tag,
			Summary: "Get a security group by name or ID", Replies: gives("the security group", api.SecurityGroup{}), handle: (*Server).getGroup},
		{Method: "PATCH", Path: "/v1/securitygroups/{ref}", Name: "updateSecurityGroup", Tag: tag,
			Summary: "Change a security group; it reaches running instances before the reply", Body: api.SecurityGroupUpdate{},
			Replies: gives("the security group", api.SecurityGroup{}), handle: (*Server).updateGroup},
		{Method: "DELETE", Path: "/v1/securitygroups/{ref}", Name: "removeSecurityGroup", Tag: tag,
			Summary: "Remove a security group that nobody uses", Replies: givesNothing("it is gone"), handle: (*Server).removeGroup},
	}
}

func addressRoutes() []Route {
	const tag = "addresses"
	return []Route{
		{Method: "GET", Path: "/v1/addresses", Name: "listAddresses", Tag: tag,
			Summary: "List the public addresses", Replies: gives("all of them", api.List[api.Address]{}), handle: (*Server).listAddresses},
		{Method: "POST", Path: "/v1/addresses", Name: "createAddress", Tag: tag,
			Summary: "Take a public address out of the pool", Body: api.Address{}, Replies: made(api.Address{}), handle: (*Server).createAddress},
		{Method: "GET", Path: "/v1/addresses/{ref}", Name: "getAddress", Tag: tag,
			Summary: "Get a public address by name or ID", Replies: gives("the address", api.Address{}), handle: (*Server).getAddress},
		{Method: "POST", Path: "/v1/addresses/{ref}/bind", Name: "bindAddress", Tag: tag,
			Summary: "Bind a public address to an instance or a VPC, live, from wherever it was", Body: api.AddressBinding{},
			Replies: gives("the address", api.Address{}), handle: (*Server).bindAddress},
		{Method: "POST", Path: "/v1/addresses/{ref}/unbind", Name: "unbindAddress", Tag: tag,
			Summary: "Take a public address from its instance or VPC, live",
			Replies: gives("the address", api.Address{}), handle: (*Server).unbindAddress},
		{Method: "DELETE", Path: "/v1/addresses/{ref}", Name: "removeAddress", Tag: tag,
			Summary: "Give a public address back that is not bound", Replies: givesNothing("it is gone"), handle: (*Server).removeAddress},
	}
}
