package cis

// CreateContainerInstanceRequest asks for an instance.
type CreateContainerInstanceRequest struct {
	Zone          string      `cloud:"required" doc:"must be the configured zone"`
	VpcId         string      `cloud:"required" doc:"a VPC by its ID, vpc-…"`
	SubnetId      string      `cloud:"required" doc:"a subnet of the VPC by its ID, subnet-…"`
	InstanceName  string      `cloud:"required" doc:"lower-case letters, digits and -, beginning with a letter, at most 40; unique in the account; also the hostname and the DNS name"`
	RestartPolicy string      `cloud:"required" doc:"Always, OnFailure or Never"`
	Containers    []Container `cloud:"required" doc:"1 to 32; their sizes add up to that of the instance"`
}

// CreateContainerInstanceResponse names what was made.
type CreateContainerInstanceResponse struct {
	InstanceId string `doc:"cis- and the digits of the instance's ID in cis, 12 of them"`
}

// DeleteContainerInstanceRequest asks for an instance to go.
type DeleteContainerInstanceRequest struct {
	InstanceName string `cloud:"required" doc:"ended first if it runs, with its grace period; the record and the logs go, too"`
}

// DeleteContainerInstanceResponse says that it has gone.
type DeleteContainerInstanceResponse struct {
	Msg string `doc:"NAME has beed deleted, as in the product's documents"`
}

// DescribeContainerInstanceRequest asks about one instance.
type DescribeContainerInstanceRequest struct {
	InstanceName string `cloud:"required" doc:"an instance of the account, whichever way it was made"`
}

// DescribeContainerInstanceResponse shows it.
type DescribeContainerInstanceResponse struct {
	ContainerInstance *ContainerInstance
}

// DescribeContainerInstancesRequest asks for a part of the list of instances.
type DescribeContainerInstancesRequest struct {
	Offset  *uint64  `doc:"0 by default"`
	Limit   *uint64  `doc:"1 to 100, 10 by default"`
	Filters []Filter `doc:"all must hold; Zone and VpcId exactly, InstanceName as a part of the name"`
}

// DescribeContainerInstancesResponse is a part of the list.
type DescribeContainerInstancesResponse struct {
	ContainerInstanceList []ContainerInstance `doc:"oldest first"`
	TotalCount            int                 `doc:"how many pass the filters"`
}

// DescribeContainerInstanceEventsRequest asks what happened to an instance.
type DescribeContainerInstanceEventsRequest struct {
	InstanceName string `cloud:"required" doc:"an instance of the account"`
}

// DescribeContainerInstanceEventsResponse tells it.
type DescribeContainerInstanceEventsResponse struct {
	EventList []Event `doc:"oldest first, at most 1000"`
}

// DescribeContainerLogRequest asks for output.
type DescribeContainerLogRequest struct {
	InstanceName  string  `cloud:"required" doc:"an instance of the account"`
	ContainerName string  `doc:"by default all containers, one after the other"`
	Tail          *uint64 `doc:"so many of the last lines, 1 to 100000; all by default, and never more than the last MiB"`
	SinceTime     string  `doc:"2018-05-18 14:33:40, which is UTC+8, or RFC 3339"`
}

// DescribeContainerLogResponse is output by lines.
type DescribeContainerLogResponse struct {
	ContainerLogList []ContainerLog
}

// InquiryPriceCreateCisRequest asks what a size costs.
type InquiryPriceCreateCisRequest struct {
	Zone   string  `cloud:"required" doc:"must be the configured zone"`
	Cpu    float64 `cloud:"required" doc:"cores, a multiple of 0.05"`
	Memory float64 `cloud:"required" doc:"GiB, a multiple of 1/1024"`
}

// InquiryPriceCreateCisResponse is the price.
type InquiryPriceCreateCisResponse struct {
	Price *Price
}

// Container is a program of an instance, as asked for and as it is.
type Container struct {
	Name            string           `cloud:"required" doc:"lower-case letters, digits and -, beginning with a letter, at most 63"`
	Image           string           `cloud:"required" doc:"a reference such as docker.io/library/nginx:1.27"`
	Cpu             float64          `cloud:"required" doc:"cores, a multiple of 0.05"`
	Memory          float64          `cloud:"required" doc:"GiB, a multiple of 1/1024"`
	Command         *string          `doc:"the program, in place of the image's ENTRYPOINT; one word, which no shell reads"`
	Args            []string         `doc:"its arguments, in place of the image's CMD"`
	EnvironmentVars []EnvironmentVar `doc:"added to the image's"`
	WorkingDir      *string          `doc:"an absolute path"`
	RestartCount    *uint64          `refuse:"is shown, not set" doc:"how often it was started again"`
	CurrentState    *ContainerState  `refuse:"is shown, not set"`
	PreviousState   *ContainerState  `refuse:"is shown, not set" doc:"the state before the latest restart"`
	ContainerId     *string          `refuse:"is shown, not set" doc:"64 hexadecimal digits, made of the instance's ID and the container's name"`
}

// EnvironmentVar is one variable.
type EnvironmentVar struct {
	Name  string `cloud:"required" doc:"printable ASCII without ="`
	Value string `cloud:"required"`
}

// ContainerState is what a container does.
type ContainerState struct {
	State      string `doc:"Waiting, Running or Terminated"`
	Reason     string `json:",omitempty"`
	StartTime  string `json:",omitempty" doc:"UTC+8"`
	FinishTime string `json:",omitempty" doc:"UTC+8"`
	ExitCode   *int64 `json:",omitempty" doc:"128 and the signal for a program that a signal ended"`
}

// ContainerInstance is an instance.
type ContainerInstance struct {
	InstanceId    string
	InstanceName  string
	Zone          string
	VpcId         string
	VpcName       string
	VpcCidr       string
	SubnetId      string
	SubnetName    string
	SubnetCidr    string
	LanIp         string
	State         string `doc:"Pending, Running, Succeeded or Failed"`
	RestartPolicy string
	CreateTime    string      `doc:"UTC+8"`
	StartTime     *string     `doc:"UTC+8; null before the start"`
	Containers    []Container `doc:"init containers are not shown"`
}

// Event is a step in the life of an instance.
type Event struct {
	FirstSeen string `doc:"as in 2018-05-18T14:34:03.000+08:00"`
	LastSeen  string
	Level     string `doc:"Normal or Warning"`
	Count     string `doc:"a number as a string"`
	Reason    string
	Message   string
}

// ContainerLog is one line of output.
type ContainerLog struct {
	Name string `doc:"of the container"`
	Time string `doc:"UTC+8"`
	Log  string
}

// Filter chooses instances.
type Filter struct {
	Name      string   `cloud:"required" doc:"Zone, VpcId or InstanceName"`
	ValueList []string `cloud:"required" doc:"any of them, 1 to 100"`
}

// Price is what a size costs for an hour.
type Price struct {
	DiscountPrice float64 `doc:"for an hour, the account's discount taken off; in the currency of the price list"`
	OriginalPrice float64 `doc:"for an hour, without the discount"`
}
