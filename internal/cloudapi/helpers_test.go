package cloudapi_test

import "net"

func listen(at string) (net.Listener, error) { return net.Listen("tcp", at) }
