package eksci

// CreateEKSContainerInstancesRequest asks for instances that are alike.
type CreateEKSContainerInstancesRequest struct {
	EksCiName                string                    `cloud:"required" doc:"a DNS label of at most 63; unique in the account. With several replicas they are NAME-0, NAME-1 and so on, and all show the name that was asked for"`
	Containers               []Container               `cloud:"required" doc:"1 to 32 with InitContainers"`
	InitContainers           []Container               `doc:"run one after the other before Containers"`
	SecurityGroupIds         []string                  `cloud:"required" doc:"1 to 8 security groups by ID, sg-…"`
	SubnetId                 string                    `cloud:"required" doc:"a subnet of the VPC by its ID, subnet-…"`
	VpcId                    string                    `cloud:"required" doc:"a VPC by its ID, vpc-…"`
	Cpu                      float64                   `cloud:"required" doc:"cores of the instance, a multiple of 0.05"`
	Memory                   float64                   `cloud:"required" doc:"GiB of the instance, a multiple of 1/1024"`
	RestartPolicy            string                    `doc:"Always (default), OnFailure or Never"`
	ImageRegistryCredentials []ImageRegistryCredential `doc:"at most one"`
	EksCiVolume              *EksCiVolume              `doc:"disks that the containers mount"`
	Replicas                 *int64                    `doc:"1 (default) to 20; either all are made or none"`
	DnsConfig                *DNSConfig                `doc:"added to the VPC's own name server and domain"`
	ExistedEipIds            []string                  `doc:"public addresses by ID, eip-…, one for each replica"`
	AutoCreateEip            bool                      `doc:"a public address for each replica"`
	AutoCreateEipAttribute   *EipAttribute             `doc:"as AutoCreateEip, and what becomes of it"`
	CpuType                  string                    `refuse:"the kind of processor cannot be chosen here"`
	GpuType                  string                    `refuse:"there are no GPUs here"`
	GpuCount                 *int64                    `refuse:"there are no GPUs here"`
	CamRoleName              string                    `refuse:"instances have no roles here"`
}

// CreateEKSContainerInstancesResponse names what was made.
type CreateEKSContainerInstancesResponse struct {
	EksCiIds []string `doc:"eksci- and the digits of the instance's ID in cis, 12 of them"`
}

// UpdateEKSContainerInstanceRequest changes an instance.
type UpdateEKSContainerInstanceRequest struct {
	EksCiId                  string                    `cloud:"required" doc:"eksci-…"`
	RestartPolicy            string                    `doc:"Always, OnFailure or Never"`
	EksCiVolume              *EksCiVolume              `refuse:"an instance keeps its volumes: cis disk attach and detach change what it starts with"`
	Containers               []Container               `doc:"in place of all that there are"`
	InitContainers           []Container               `doc:"in place of all that there are"`
	Name                     string                    `refuse:"the name of an instance never changes, since it is its DNS name"`
	ImageRegistryCredentials []ImageRegistryCredential `doc:"at most one, in place of the one there is"`
}

// UpdateEKSContainerInstanceResponse names what was changed.
type UpdateEKSContainerInstanceResponse struct {
	EksCiId string
}

// RestartEKSContainerInstancesRequest asks for instances to run again.
type RestartEKSContainerInstancesRequest struct {
	EksCiIds []string `cloud:"required" doc:"1 to 20; one that has ended is started"`
}

// DeleteEKSContainerInstancesRequest asks for instances to go.
type DeleteEKSContainerInstancesRequest struct {
	EksCiIds              []string `cloud:"required" doc:"1 to 20; ended first if they run, with their grace period"`
	ReleaseAutoCreatedEip bool     `doc:"also releases the public addresses that were made for them with DeletePolicy Never"`
}

// DescribeEKSContainerInstancesRequest asks for a part of the list of instances.
type DescribeEKSContainerInstancesRequest struct {
	Limit    *uint64  `doc:"1 to 100, 20 by default"`
	Offset   *uint64  `doc:"0 by default"`
	Filters  []Filter `doc:"all must hold"`
	EksCiIds []string `doc:"only these, at most 100; ones that do not exist are left out"`
}

// DescribeEKSContainerInstancesResponse is a part of the list.
type DescribeEKSContainerInstancesResponse struct {
	TotalCount int
	EksCis     []EksCi `doc:"oldest first, whichever way they were made"`
}

// DescribeEKSContainerInstanceEventRequest asks what happened to an instance.
type DescribeEKSContainerInstanceEventRequest struct {
	EksCiId string  `cloud:"required" doc:"eksci-…"`
	Limit   *uint64 `doc:"so many of the latest, 1 to 100, 50 by default"`
}

// DescribeEKSContainerInstanceEventResponse tells it.
type DescribeEKSContainerInstanceEventResponse struct {
	Events  []Event `doc:"oldest first"`
	EksCiId string
}

// DescribeEksContainerInstanceLogRequest asks for output.
type DescribeEksContainerInstanceLogRequest struct {
	EksCiId       string  `cloud:"required" doc:"eksci-…"`
	ContainerName string  `doc:"required where there are several containers"`
	Tail          *uint64 `doc:"so many of the last lines, 1 to 2000, 500 by default"`
	StartTime     string  `doc:"RFC 3339"`
	Previous      bool    `doc:"the output of the attempt before"`
	SinceSeconds  *uint64 `doc:"excludes StartTime"`
	LimitBytes    *uint64 `doc:"the latest so many bytes, 1 to 1048576 (default)"`
}

// DescribeEksContainerInstanceLogResponse is output as text.
type DescribeEksContainerInstanceLogResponse struct {
	ContainerName string
	LogContent    string
}

// DescribeEKSContainerInstanceRegionsRequest has no parameters.
type DescribeEKSContainerInstanceRegionsRequest struct{}

// DescribeEKSContainerInstanceRegionsResponse lists the regions.
type DescribeEKSContainerInstanceRegionsResponse struct {
	Regions    []EksCiRegionInfo `doc:"the configured one"`
	TotalCount int
}

// Container is a program of an instance, as asked for and as it is.
type Container struct {
	Name            string                    `cloud:"required" doc:"a DNS label"`
	Image           string                    `cloud:"required" doc:"a reference such as docker.io/library/nginx:1.27"`
	Commands        []string                  `doc:"in place of the image's ENTRYPOINT"`
	Args            []string                  `doc:"in place of the image's CMD"`
	EnvironmentVars []EnvironmentVariable     `doc:"added to the image's"`
	Cpu             float64                   `doc:"cores that it may use at most; a multiple of 0.05, at most those of the instance"`
	Memory          float64                   `doc:"GiB that it may use at most; a multiple of 1/1024, at most that of the instance"`
	VolumeMounts    []VolumeMount             `doc:"of EksCiVolume"`
	CurrentState    *ContainerState           `refuse:"is shown, not set"`
	RestartCount    *int64                    `refuse:"is shown, not set"`
	WorkingDir      string                    `doc:"an absolute path"`
	LivenessProbe   *LivenessOrReadinessProbe `doc:"restarts the container when it fails"`
	ReadinessProbe  *LivenessOrReadinessProbe `doc:"decides whether it counts as ready"`
	GpuLimit        *int64                    `refuse:"there are no GPUs here"`
	SecurityContext *SecurityContext          `doc:"capabilities, in addition to docker's"`
}

// EnvironmentVariable is one variable.
type EnvironmentVariable struct {
	Name  string `doc:"printable ASCII without ="`
	Value string `doc:"empty by default"`
}

// VolumeMount places a volume in a container.
type VolumeMount struct {
	Name             string `cloud:"required" doc:"of a volume of EksCiVolume"`
	MountPath        string `cloud:"required" doc:"an absolute path, not the root"`
	ReadOnly         bool   `doc:"false by default"`
	SubPath          string `refuse:"a volume is mounted as a whole here"`
	MountPropagation string `refuse:"mounts are private here" but:"None"`
	SubPathExpr      string `refuse:"a volume is mounted as a whole here"`
}

// ContainerState is what a container does.
type ContainerState struct {
	State        string `doc:"created, running or exited"`
	Reason       string
	Message      string
	StartTime    string `doc:"RFC 3339, UTC; empty before the start"`
	FinishTime   string `doc:"RFC 3339, UTC; empty before the end"`
	ExitCode     *int64 `doc:"null before the end"`
	RestartCount int64
}

// LivenessOrReadinessProbe asks a container about its health; exactly one way is set.
type LivenessOrReadinessProbe struct {
	Probe     *Probe     `cloud:"required"`
	HttpGet   *HttpGet   `doc:"a status of 200 to 399 is success"`
	Exec      *Exec      `doc:"exit code 0 is success"`
	TcpSocket *TcpSocket `doc:"a connection is success"`
}

// Probe says how often and how long.
type Probe struct {
	InitialDelaySeconds int64 `doc:"0 by default, at most 86400"`
	TimeoutSeconds      int64 `doc:"1 by default, at most 3600"`
	PeriodSeconds       int64 `doc:"10 by default, at most 86400"`
	SuccessThreshold    int64 `doc:"1 by default, and for liveness"`
	FailureThreshold    int64 `doc:"3 by default"`
}

// HttpGet asks by HTTP.
type HttpGet struct {
	Path   string `cloud:"required"`
	Port   int64  `cloud:"required" doc:"1 to 65535"`
	Scheme string `cloud:"required" doc:"HTTP or HTTPS, whose certificate is not checked"`
}

// Exec runs a command.
type Exec struct {
	Commands []string `doc:"the program and its arguments; no shell reads them"`
}

// TcpSocket connects.
type TcpSocket struct {
	Port int64 `doc:"1 to 65535"`
}

// SecurityContext says what a program may do.
type SecurityContext struct {
	Capabilities *Capabilities `doc:"changes docker's default set"`
}

// Capabilities are Linux's, by name, without CAP_; ALL is allowed.
type Capabilities struct {
	Add  []string `doc:"names without CAP_, or ALL"`
	Drop []string `doc:"names without CAP_, or ALL"`
}

// ImageRegistryCredential proves to a registry who pulls.
type ImageRegistryCredential struct {
	Server   string `doc:"host and port; by default the image's"`
	Username string `doc:"required by the registry, usually"`
	Password string `doc:"kept with the instance, and never shown"`
	Name     string `doc:"for the reader; nothing goes by it"`
}

// EksCiVolume are volumes.
type EksCiVolume struct {
	CbsVolumes []CbsVolume `doc:"disks, each one instance's at a time"`
	NfsVolumes []NfsVolume `doc:"directories of NFS servers, where instances are virtual machines by default (cisd -isolation vm)"`
}

// CbsVolume is a disk.
type CbsVolume struct {
	Name      string `cloud:"required" doc:"what VolumeMounts call it"`
	CbsDiskId string `cloud:"required" doc:"the ID of a disk, disk-…, as cis disk list shows it"`
}

// NfsVolume is a directory of a server.
type NfsVolume struct {
	Name     string `cloud:"required" doc:"what VolumeMounts call it"`
	Server   string `cloud:"required" doc:"an IP address, or a name that the instance's name servers know"`
	Path     string `cloud:"required" doc:"of the directory on the server"`
	ReadOnly bool   `doc:"nothing can be written there"`
}

// DNSConfig is added to what the VPC gives.
type DNSConfig struct {
	Nameservers []string          `doc:"IP addresses, at most 2 beside the VPC's"`
	Searches    []string          `doc:"domains, at most 31 beside the VPC's"`
	Options     []DNSConfigOption `doc:"of resolv.conf"`
}

// DNSConfigOption is one option of resolv.conf.
type DNSConfigOption struct {
	Name  string `cloud:"required"`
	Value string `doc:"may be left out"`
}

// EipAttribute says what becomes of a public address.
type EipAttribute struct {
	DeletePolicy            string `cloud:"required" doc:"Never keeps the address when the instance goes; anything else releases it"`
	InternetServiceProvider string `refuse:"the provider cannot be chosen here" but:"BGP"`
	InternetMaxBandwidthOut *int64 `refuse:"the traffic of an address cannot be limited by itself here"`
}

// EksCi is an instance.
type EksCi struct {
	EksCiId          string
	EksCiName        string
	Memory           float64
	Cpu              float64
	SecurityGroupIds []string
	RestartPolicy    string
	Status           string `doc:"Pending, Running, Succeeded or Failed"`
	CreationTime     string `doc:"RFC 3339, UTC"`
	SucceededTime    string `doc:"RFC 3339, UTC; of instances that have succeeded"`
	Containers       []Container
	EksCiVolume      *EksCiVolume
	SecurityContext  *SecurityContext
	PrivateIp        string
	EipAddress       string
	GpuType          string
	CpuType          string
	GpuCount         int64
	VpcId            string
	SubnetId         string
	InitContainers   []Container
	CamRoleName      string
	AutoCreatedEipId string `doc:"of a public address that was made for the instance"`
	PersistStatus    bool
}

// EksCiRegionInfo is a region.
type EksCiRegionInfo struct {
	Alias      string
	RegionName string
	RegionId   int64 `doc:"1"`
}

// Event is a step in the life of an instance.
type Event struct {
	PodName        string `doc:"the name of the instance"`
	Reason         string
	Type           string `doc:"Normal or Warning"`
	Count          int64
	FirstTimestamp string `doc:"RFC 3339, UTC"`
	LastTimestamp  string `doc:"RFC 3339, UTC"`
	Message        string
}

// Filter chooses instances.
type Filter struct {
	Name   string   `cloud:"required" doc:"eks-ci-name, status, private-ip, eip-address or vpc-id"`
	Values []string `cloud:"required" doc:"any of them, 1 to 100"`
}
